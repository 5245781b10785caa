#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Daemon and view together, on a kernel that has only staging. The view's readers open
# the lists, which blocks staging, and the daemon is killed while it works.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

segments() {
	find "$store" -name '*.ima' | wc -l
}

# until_segments N: wait until there are N segments, and read the view meanwhile.
until_segments() {
	while [ "$(segments)" -lt "$1" ]; do
		kill -0 "$daemon" || fail "the daemon is gone"
		held
		usleep 50000
	done
}

trap 'cp "$log" /out/daemon.log' EXIT
configure /disk/store 'max_records = 200' 'max_bytes = 0' 'check_interval = 1'
prepare_load
mkdir -p "$view"
begin_view mount
exec 5<"$view/binary_runtime_measurements"
: >/tmp/held

begin_load
start_daemon
for _ in 1 2 3; do
	until_segments $(($(segments) + 1))
	# shellcheck disable=SC3028 # busybox has RANDOM
	usleep $((RANDOM % 1000 * 1000))
	end_daemon KILL 137
	grow 100
	held
	start_daemon
done
until_segments $(($(segments) + 1))
end_load
until_below 200
end_daemon TERM 0
held

copy_view "$view/violations"
cp /tmp/held /out/held
gather
kill -TERM "$server"
wait "$server" || fail "the view ended with $?"
