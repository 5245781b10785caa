#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Snapshots that cannot be stored: on a full disk, without an inode, beyond the
# file size limit, on a read-only file system. Then there is room again.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

# attempt NAME COMMAND...: take a snapshot, and copy the kernel's list before and after.
attempt() {
	attempt_name=$1
	shift
	copy_kernel "/out/$attempt_name.before"
	run "$attempt_name" "$@"
	copy_kernel "/out/$attempt_name.after"
	run "$attempt_name-verify" ima-snapshot verify --tpm
}

configure /disk/store 'min_free_space = 0'
prepare_load
measure first 1 200
attempt room ima-snapshot take --json
measure second 1 300

if dd if=/dev/zero of=/disk/filler bs=64k 2>/dev/null; then
	fail "the disk cannot be filled"
fi
attempt full ima-snapshot take --json
rm /disk/filler

mkdir /disk/inodes
file=0
while true 2>/dev/null >"/disk/inodes/$file"; do
	file=$((file + 1))
done
attempt no-inode ima-snapshot take --json
rm -r /disk/inodes

# Larger than 8 KiB: the write fails, or its signal kills the program.
attempt too-large sh -c 'trap "" XFSZ; ulimit -f 16; exec ima-snapshot take --json'
attempt died-writing sh -c 'ulimit -f 16; exec ima-snapshot take'

mount -o remount,ro /disk
attempt read-only ima-snapshot take --json
mount -o remount,rw /disk

attempt room-again ima-snapshot take
gather
