#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Check that the measurement lists can be read and, if the kernel has snapshots, that
# one purges them. This needs only the kernel, so it runs with any patch of the series.
set -eu

cd /sys/kernel/security/ima

fail() {
	echo "quick: $*" >&2
	exit 1
}

# The number of records; the list and the kernel's counter must agree.
records() {
	lines=$(wc -l <ascii_runtime_measurements)
	count=$(cat runtime_measurements_count)
	[ "$lines" -eq "$count" ] || fail "the list has $lines records, the kernel counts $count"
	echo "$lines"
}

before=$(records)
[ "$before" -ge 1 ] || fail "the list is empty"
bytes=$(wc -c <binary_runtime_measurements)
[ "$bytes" -gt 0 ] || fail "the binary list is empty"
if [ ! -e snapshot ]; then
	echo "quick: $before records"
	exit
fi

exec 3<>snapshot
cat <&3 >/tmp/segment
marked=$(records)
[ "$marked" -eq $((before + 1)) ] || fail "there are $marked records after a snapshot of $before"
tail -n 1 ascii_runtime_measurements | grep -qw snapshot_aggregate || fail "the last record is not a snapshot_aggregate"
cmp -n "$bytes" /tmp/segment binary_runtime_measurements || fail "the segment is not the list"
if [ -e snapshot_purges ]; then
	printf 1 >&3
	exec 3>&-
	[ "$(records)" -eq 1 ] || fail "records are left after a purge"
	[ "$(cat snapshot_purges)" -eq 1 ] || fail "the purge is not counted"
fi
echo "quick: $before records, and a snapshot"
