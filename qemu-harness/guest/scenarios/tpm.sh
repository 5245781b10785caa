#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tpm.sh: one snapshot for each fault in FAULTS, and one without a fault. They are
# opened and read but not purged, so the list stays complete. During the slow one,
# the process that opens it exits.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

read_snapshot() {
	cat <>"$ima/snapshot"
}

prepare_load
measure first 1 5
copy_kernel /out/before
for fault in $(echo "$FAULTS" | tr ',' ' ') none; do
	case $fault in
	slow) run "$fault" exit_amid_open "$ima/snapshot" 200 ;;
	*) run "$fault" read_snapshot ;;
	esac
	dmesg -c >"/out/$fault.dmesg"
	copy_kernel "/out/$fault"
	# The kernel's files assume that there are 24 PCRs.
	[ "$FAULTS" = pcrs16 ] || copy_pcrs "/out/$fault.pcrs"
	measure "$fault" 1 5
done
# Without ACPI the guest cannot be switched off from within.
echo "tpm.sh has ended"
