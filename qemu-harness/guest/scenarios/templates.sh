#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A record of every template, and the view to compare with the kernel's own files.
# The kernel's command line sets the default template.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

view=/run/view
files=/mnt

mkdir -p "$view"
configure /tmp/store "allow_volatile = true"
prepare_load
mount -t tmpfs tmpfs "$files"
owner=2000
for template in ima ima-ng ima-ngv2 ima-sig ima-sigv2 ima-modsig evm-sig; do
	owner=$((owner + 1))
	echo "measure func=FILE_CHECK mask=MAY_READ fsmagic=0x01021994 fowner=$owner template=$template"
done >/tmp/policy
cat /tmp/policy >"$ima/policy"

owner=2000
while [ "$owner" -lt 2007 ]; do
	owner=$((owner + 1))
	long=$(printf "%200d" "$owner" | tr ' ' x)
	mkdir -p "$files/$owner/$long"
	for name in plain "with space" "ümlaut" "$long/$long" "violated"; do
		echo "$owner $name" >"$files/$owner/$name"
		chown "$owner:$((owner + 10))" "$files/$owner/$name"
	done
	setfattr -n user.comment -v something "$files/$owner/plain"
	setfattr -n security.ima -v 0x0302040102030400 "$files/$owner/plain"
	for name in plain "with space" "ümlaut" "$long/$long"; do
		cat "$files/$owner/$name" >/tmp/content
	done
	exec 5>>"$files/$owner/violated"
	cat "$files/$owner/violated" >/tmp/content
	exec 5>&-
done
measure default 1 10
measure_violation default
run mark ima-snapshot take --mark

ima-snapshot mount "$view" 2>/out/mount.stderr &
server=$!
until [ -e "$view/runtime_measurements_count" ]; do
	kill -0 "$server" || fail "the view was not mounted: $(cat /out/mount.stderr)"
	usleep 20000
done
mkdir -p /out/kernel /out/view /out/after
ls "$view" >/out/names
for file in "$ima"/*_runtime_measurements*; do
	name=${file##*/}
	case $name in
	*_staged) continue ;;
	esac
	cat "$file" >/tmp/copy
	cp /tmp/copy "/out/kernel/$name"
	cat "$view/$name" >/tmp/copy
	cp /tmp/copy "/out/view/$name"
done
run take ima-snapshot take
for name in "$view"/*_runtime_measurements*; do
	cat "$name" >/tmp/copy
	cp /tmp/copy "/out/after/${name##*/}"
done
kill -TERM "$server"
wait "$server"
