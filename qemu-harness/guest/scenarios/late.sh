#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A kernel whose list begins with boot_aggregate_late: a snapshot, what reads the
# whole log, kexec, and the same again. Each part runs in its own kernel.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

# read_whole NAME: all that reads the log from its beginning.
read_whole() {
	run "$1.cat" ima-snapshot cat
	run "$1.ascii" ima-snapshot cat --ascii
	run "$1.verify" ima-snapshot verify --tpm
	begin_view "$1.mount"
	run "$1.view" cat "$view/binary_runtime_measurements"
	kill "$server"
	wait "$server"
}

configure /disk/store
prepare_load
mkdir -p "$view"
case $(cat /proc/cmdline) in
*e2e.part=2*)
	read_whole part2
	measure second 1 50
	run part2.take ima-snapshot take --json
	run verify ima-snapshot verify --tpm
	gather
	;;
*)
	measure first 1 50
	run part1.take ima-snapshot take --json
	measure carried 1 50
	read_whole part1
	read -r command_line </proc/cmdline
	kexec -s -l /boot/bzImage --initrd=/boot/initrd --command-line="$command_line e2e.part=2"
	sync
	umount /disk
	kexec -e
	fail "kexec -e returned"
	;;
esac
