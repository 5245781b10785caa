#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A snapshot, kexec, another snapshot, and what is needed to verify the whole log,
# with whatever TPM, policy and template the kernel has.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

# verify NAME: against the TPM if there is one.
verify() {
	if [ -e /dev/tpm0 ]; then
		run "$1" ima-snapshot verify --tpm --json
	else
		run "$1" ima-snapshot verify --json
	fi
}

configure /disk/store
prepare_load
case $(cat /proc/cmdline) in
*e2e.part=2*)
	verify part2
	measure second 1 30
	run take2 ima-snapshot take --json
	measure third 1 10
	verify part3
	copy_kernel /out/ima
	[ ! -e /dev/tpm0 ] || copy_pcrs /out/pcrs
	run cat ima-snapshot cat
	;;
*)
	measure first 1 30
	run take1 ima-snapshot take --json
	measure carried 1 30
	verify part1
	load_part 2
	execute
	;;
esac
