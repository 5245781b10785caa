#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# memory.sh {daemon|none} SECONDS LIMIT: measure ten files every 50 ms, with or without the
# daemon, which keeps the list below LIMIT records. Print twice a second how many records are
# in memory and how large the slab caches are.
set -eu

cd /bench
ima=/sys/kernel/security/ima
exec >/out/results

./make_records 100 >/dev/null
mkdir -p /disk/store
cat >/etc/ima-snapshot.conf <<EOF
store = "/disk/store"
max_records = $3
max_bytes = 0
check_interval = 1
EOF
if [ "$1" = daemon ]; then
	command -v ima-snapshotd >/dev/null
	ima-snapshotd 2>/out/daemon.log &
fi
(
	while true; do
		./make_records 10 >/dev/null
		usleep 50000
	done
) &
load=$!
samples=$(($2 * 2))
while [ "$samples" -gt 0 ]; do
	read -r up rest </proc/uptime
	read -r records <"$ima/runtime_measurements_count"
	slab=$(sed -n 's/^Slab: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
	echo "{\"what\":\"sample\",\"seconds\":$up,\"records\":$records,\"slab_kib\":$slab}"
	usleep 500000
	samples=$((samples - 1))
done
kill "$load"
