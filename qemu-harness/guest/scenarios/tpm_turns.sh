#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tpm_turns.sh: in the first of TURNS snapshots the first command to the TPM fails, in
# the second one the second, and so on. None is purged, so the list stays complete.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

# random N: TPM2_GetRandom of N bytes, which begins or ends a turn of tpm_faults.c. The
# TPM may still be at work on what it was asked before.
random() {
	# shellcheck disable=SC2059 # the escapes are meant
	until printf "\\200\\1\\0\\0\\0\\14\\0\\0\\1\\173\\0\\$1" 2>/tmp/random >/dev/tpm0; do
		usleep 100000
	done
}

read_snapshot() {
	cat <>"$ima/snapshot"
}

prepare_load
measure first 1 5
copy_kernel /out/0
turn=1
while [ "$turn" -le "${TURNS:?}" ]; do
	random 1
	run "$turn" read_snapshot
	random 2
	copy_kernel "/out/$turn"
	copy_pcrs "/out/$turn.pcrs"
	measure "$turn" 1 2
	turn=$((turn + 1))
done
