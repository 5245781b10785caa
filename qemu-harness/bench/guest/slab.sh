#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# slab.sh {snapshot|staging} RECORDS TIMES: make RECORDS records and purge them,
# TIMES times. Print the size of the slab caches before, with and after them.
set -eu

cd /bench
ima=/sys/kernel/security/ima
how=$1
records=$2
times=$3
exec >/out/results

# Fill the caches of the file system and of these programs first.
./make_records 100
./slab_bytes warm >/dev/null

while [ "$times" -gt 0 ]; do
	./slab_bytes before
	./make_records "$records"
	./slab_bytes with
	case $how in
	snapshot)
		./read_list -p snapshot $ima/snapshot 1
		;;
	staging)
		./request_list $ima/binary_runtime_measurements_staged A
		./request_list $ima/binary_runtime_measurements_staged D
		;;
	esac
	./slab_bytes after
	times=$((times - 1))
done
