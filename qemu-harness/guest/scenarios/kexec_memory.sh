#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Each allocation fails in its turn while the next kernel, and with it the buffer for the
# list, is loaded. After that it is loaded once more, and executed.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

configure /disk/store
prepare_load
case $(cat /proc/cmdline) in
*e2e.part=2*)
	gather
	;;
*)
	measure first 1 50
	run take ima-snapshot take --json
	measure second 1 50
	read -r command_line </proc/cmdline
	copy_kernel /out/before
	# A small file in place of the initramfs, because the kernel hashes it each time.
	cp /boot/bzImage /tmp/bzImage
	run loads kexec_load_fails /tmp/bzImage /etc/passwd "$command_line"
	copy_kernel /out/after
	load_part 2
	execute
	;;
esac
