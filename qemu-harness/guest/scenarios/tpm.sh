#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tpm.sh: a snapshot for each of the faults that the TPM was told, and one more.
# They are opened and read, not purged: the list stays whole. Amid a slow one the
# process that opens exits.
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
	copy_kernel "/out/$fault"
	# The kernel's files take for granted that there are 24.
	[ "$FAULTS" = pcrs16 ] || copy_pcrs "/out/$fault.pcrs"
	measure "$fault" 1 5
done
# Without ACPI the guest cannot be switched off from within.
echo "tpm.sh has ended"
