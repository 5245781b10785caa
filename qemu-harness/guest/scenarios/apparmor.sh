#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The profile of userspace/policy lets ima-snapshot take snapshots and do little else.
# With the line that it names, the profile of another program keeps that from it.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

cp /bin/busybox /usr/local/bin/busybox-another
cat >/tmp/another <<'EOF2'
include <tunables/global>
profile another /usr/local/bin/busybox-another {
  file,
  capability,
  deny @{sys}/kernel/security/{,integrity/}ima/snapshot rw,
}
EOF2
apparmor_parser -r -K /policy/apparmor /tmp/another
mkdir -p /var/lib/ima-snapshot
configure /var/lib/ima-snapshot 'allow_volatile = true'
prepare_load
measure first 1 20
run take ima-snapshot take --json
run verify ima-snapshot verify --tpm --json
mkdir /root/other
copy_pcrs /var/lib/ima-snapshot/pcrs
run outside ima-snapshot verify --from-dir /root/other --pcrs /var/lib/ima-snapshot/pcrs/sha256 --json
rm -r /var/lib/ima-snapshot/pcrs
copy_kernel /out/before
run another busybox-another sh -c ": <>$ima/snapshot"
copy_kernel /out/after
cat /sys/kernel/security/apparmor/profiles >/out/profiles
gather
