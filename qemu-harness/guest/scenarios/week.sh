#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# One boot of a week: the installed daemon works while files are measured, in PARTS
# kernels, each executed by systemd. In the middle and at the end of each, a verifier that
# keeps a state and one that does not compare the log with the TPM.
# Environment: BOOT, PARTS, DURATION of a part in seconds, LIMIT in records, and UPGRADE:
# the part in which the package is upgraded, or 0.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source-path=SCRIPTDIR source=system.sh
. "${0%/*}/system.sh"

state=/var/lib/ima-verifier.state

verify() {
	run "verify.$1" ima-snapshot verify --tpm --json
	run "verify-state.$1" ima-snapshot verify --tpm --state "$state" --json
}

# About fifty files a second, until there is a file "stop". Memory holds few of them.
measure_steadily() {
	files=0
	while [ ! -e "$stop_file" ]; do
		measure "$1" $((files + 1)) $((files + 5))
		files=$((files + 5))
		rm -r "${load:?}/$1"
		usleep 80000
	done
	echo "$files" >"/out/measured.$part"
}

read -r command_line </proc/cmdline
part=1
case $command_line in
*e2e.part=*) part=${command_line##*e2e.part=} ;;
esac
prepare_load
limit "${LIMIT:?}"
inside systemctl enable ima-snapshotd
mkdir -p "$root/var/log/journal"
# A state is for one boot.
[ "$part" -gt 1 ] || rm -f "$root$state"
start_systemd
run "begin.$part" ima-snapshot take --json
objects >"/out/objects.$part"

rm -f "$stop_file"
measure_steadily "$BOOT.$part" &
load_pid=$!
sleep $((DURATION / 2))
verify "$part.middle"
if [ "$UPGRADE" = "$part" ]; then
	cp /upgrade.deb "$root/tmp/upgrade.deb"
	# The bare Debian lacks what some of its own packages depend on.
	run upgrade inside dpkg --force-depends --install /tmp/upgrade.deb
	run version inside dpkg-query --show ima-snapshot
fi
sleep $((DURATION / 2))
: >"$stop_file"
wait "$load_pid" || fail "the load failed"

run "end.$part" ima-snapshot take --json
objects >"/out/objects-after.$part"
verify "$part.end"
cat "$ima/snapshot_purges" >"/out/purges.$part"
if [ "$part" -lt "$PARTS" ]; then
	load_part $((part + 1))
	trap - EXIT
	inside systemctl kexec
	sleep 600
	fail "systemctl kexec did not execute the kernel"
fi
# Until then the daemon may still take a snapshot.
stop_services
gather
