#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Snapshots while the disk of the store fails, fails now and then, is slow, and is gone.
# A snapshot follows each, once the disk works again.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

# There is no udev that makes the device's node.
export DM_DISABLE_UDEV=1
sectors=$(blockdev --getsz /dev/vda)

# become TARGET...: change what the device of the store does.
become() {
	dmsetup suspend --noflush --nolockfs store
	dmsetup load store --table "0 $sectors $*"
	dmsetup resume store
}

# A file system that met an error may stay read-only until it is mounted again.
mount_again() {
	become linear /dev/vda 0
	umount /disk
	mount -t ext4 /dev/mapper/store /disk
}

# attempt NAME: a snapshot while the disk fails, and one after that.
attempt() {
	copy_kernel "/out/$1.before"
	run "$1" ima-snapshot take --json
	copy_kernel "/out/$1.after"
	mount_again
	run "$1-verify" ima-snapshot verify --tpm
	run "$1-again" ima-snapshot take --json
}

umount /disk
dmsetup create store --table "0 $sectors linear /dev/vda 0"
mount -t ext4 /dev/mapper/store /disk
configure /disk/store
prepare_load
measure first 1 100
run first ima-snapshot take --json

measure error 1 100
become error
attempt error

# One second without errors, one with them.
flake=0
while [ "$flake" -lt "${FLAKEY:?}" ]; do
	flake=$((flake + 1))
	measure "flakey$flake" 1 100
	become flakey /dev/vda 0 1 1
	# shellcheck disable=SC3028 # busybox has RANDOM
	usleep $((RANDOM % 2000 * 1000))
	attempt "flakey$flake"
done

# Each write takes longer. Measuring does not wait for the disk.
measure slow 1 100
become delay /dev/vda 0 500
before=$(counter snapshot_attempts)
ima-snapshot take --json >/out/slow.stdout 2>/out/slow.stderr &
taking=$!
until [ "$(counter snapshot_attempts)" -gt "$before" ]; do
	kill -0 "$taking" || fail "the snapshot on a slow disk ended before it began"
	usleep 1000
done
measured=0
while kill -0 "$taking" 2>/tmp/gone; do
	measured=$((measured + 1))
	measure meanwhile "$measured" "$measured"
done
echo "$measured" >/out/measured
status=0
wait "$taking" || status=$?
echo "$status" >/out/slow.status
become linear /dev/vda 0
gather

# The disk is pulled, and put in again.
measure removed 1 100
umount /disk
dmsetup remove store
mount -t ext4 /dev/vda /disk
device=$(readlink -f /sys/block/vda/device/..)
copy_kernel /out/removed.before
echo 1 >"$device/remove"
run removed ima-snapshot take --json
copy_kernel /out/removed.after
umount -l /disk
echo 1 >/sys/bus/pci/rescan
until disk=$(ls /dev/vd?); do
	usleep 10000
done
mount -t ext4 "$disk" /disk
run removed-again ima-snapshot take --json
rm -r /out/store
gather
