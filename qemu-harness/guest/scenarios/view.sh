#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The FUSE view under load, over three snapshots, and how it ends. The data that
# readers got is kept in /out for the host to compare.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

group=77
readers=64
sizes=/out/sizes

# end_view NAME: wait until the server has ended; keep its exit status.
end_view() {
	status=0
	wait "$server" || status=$?
	echo "$status" >"/out/$1.status"
}

# read_on: copy the rest of standard input with read(2); busybox's cat uses sendfile(2).
read_on() {
	dd bs=64k 2>/tmp/dd || {
		cat /tmp/dd >&2
		return 1
	}
}

# reader FILE: copy the log up to its current size.
reader() {
	dd if="$view/ascii_runtime_measurements" bs="$(stat -c %s "$view/ascii_runtime_measurements")" \
		count=1 iflag=fullblock 2>/tmp/dd.reader >"$1"
}

# slices NAME: some bytes at some offsets.
slices() {
	size=$(stat -c %s "$view/$1")
	for part in 0 1 2 3 4 5 6 7; do
		offset=$((size * part / 8 + part * 37))
		dd if="$view/$1" of="/out/slices/$1.$offset" bs=1 skip="$offset" count=333 2>/tmp/dd
	done
}

configure /tmp/store "allow_volatile = true"
prepare_load
echo "log:x:$group:" >>/etc/group
echo "reader:x:1000:$group::/:/bin/sh" >>/etc/passwd
echo "other:x:1001:1001::/:/bin/sh" >>/etc/passwd
chgrp "$group" "$store"
mkdir -p "$view" /tmp/readers /out/slices
measure first 1 150

begin_view mount
tail -n +1 -f "$view/ascii_runtime_measurements" >/tmp/tail &
tailing=$!
exec 5<"$view/binary_runtime_measurements"
: >/tmp/held
held

begin_load
for snapshot in 1 2 3; do
	grow 150
	run "take$snapshot" ima-snapshot take --json
	held
	number=0
	while [ "$number" -lt "$readers" ]; do
		number=$((number + 1))
		(reader "/tmp/readers/$snapshot.$number" || echo "$snapshot.$number" >>/out/readers.failed) &
		reading="${reading:-} $!"
	done
done
grow 50
end_load
for pid in $reading; do
	wait "$pid" || fail "a reader failed"
done
held

# At rest: read everything again.
for name in "$view"/*; do
	echo "${name##*/} $(stat -c '%s %a %u %g' "$name")"
done >"$sizes"
stat -c '%a %u %g' "$view" >/out/directory
copy_view "$view/violations"
cat "$ima/violations" >/out/violations
cp /tmp/held /out/held
total=$(wc -l <"$view/ascii_runtime_measurements")
until [ "$(wc -l </tmp/tail)" -ge "$total" ]; do
	usleep 50000
done
kill "$tailing"
cp /tmp/tail /out/tail
cat "$view/ascii_runtime_measurements" >/tmp/whole
for file in /tmp/readers/*; do
	size=$(stat -c %s "$file")
	agrees=1
	cmp -s -n "$size" "$file" /tmp/whole || agrees=0
	echo "${file##*/} $size $agrees"
done >/out/readers
for name in ascii_runtime_measurements binary_runtime_measurements ascii_runtime_measurements_sha256 \
	binary_runtime_measurements_sha256; do
	slices "$name"
done
run reader su reader -c "cat $view/ascii_runtime_measurements_sha256"
run other su other -c "cat $view/ascii_runtime_measurements_sha256"
gather

# Bound over the kernel's own file: readers of that file get the whole log.
mount --bind "$view/binary_runtime_measurements" "$ima/binary_runtime_measurements"
run evmctl evmctl -v ima_measurement --ignore-violations --verify-bank=sha256 \
	--pcrs sha256,/out/pcrs/sha256 "$ima/binary_runtime_measurements"
cat "$ima/binary_runtime_measurements" >/out/bound
umount "$ima/binary_runtime_measurements"

# Unmounted lazily, it still serves open files. After it is killed, they give an error.
exec 6<"$view/binary_runtime_measurements"
dd bs=1 count=100 <&6 >/tmp/begin 2>/tmp/dd
umount -l "$view"
read_on <&6 >>/tmp/begin
cp /tmp/begin /out/lazily
kill -9 "$server"
end_view killed
run after-kill read_on <&6
exec 5<&- 6<&-

# Killed while it is mounted: the next one takes its place.
begin_view mount2
exec 6<"$view/ascii_runtime_measurements"
dd bs=1 count=100 <&6 >/tmp/begin 2>/tmp/dd
mount --bind "$view/binary_runtime_measurements" "$ima/binary_runtime_measurements"
kill -9 "$server"
end_view killed2
run dead-bound ima-snapshot cat
umount "$ima/binary_runtime_measurements"
run dead read_on <&6
run dead-open cat "$view/ascii_runtime_measurements"
exec 6<&-
begin_view mount3
cat "$view/binary_runtime_measurements" >/out/again
kill -TERM "$server"
end_view terminated
run unmounted ls "$view"

# Bound over the file that it reads itself, the view still works. A program that may
# not mount sees the store but not the kernel's list. umount(8) ends the view, too.
begin_view mount4
mount --bind "$view/binary_runtime_measurements" "$ima/binary_runtime_measurements"
measure bound 1 20
timeout 60 dd if="$ima/binary_runtime_measurements" bs=64k of=/out/bound.grown 2>/tmp/dd ||
	fail "the view that is bound over the kernel's file cannot be read: $(cat /tmp/dd)"
run bound-list /usr/local/bin/setpriv --bounding-set=-all --inh-caps=-all ima-snapshot list --json
run bound-cat /usr/local/bin/setpriv --bounding-set=-all --inh-caps=-all ima-snapshot cat --json
umount "$ima/binary_runtime_measurements"
umount "$view"
end_view umounted

# A log without its beginning.
mkdir /tmp/away
mv "$store"/boots/*/00000001.* /tmp/away
run missing ima-snapshot mount "$view" --json
mv /tmp/away/* "$store"/boots/*/

# A purge by a program that ignores the lock and stores nothing.
begin_view mount5
exec 6<"$view/ascii_runtime_measurements"
read_on <&6 >/tmp/before
exec 7<>"$ima/snapshot"
cat <&7 >/tmp/taken
echo 1 >&7
exec 7>&-
measure last 1 3
run gap read_on <&6
run gap-open cat "$view/ascii_runtime_measurements"
kill -TERM "$server"
end_view gap-terminated
run gap-mount ima-snapshot mount "$view"
