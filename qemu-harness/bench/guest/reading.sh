#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# reading.sh {snapshot|staging} RECORDS:TIMES...: make RECORDS records and read
# them TIMES times through the files of this kernel; so for each argument. With
# snapshot, hash them as often, too.
set -eu

cd /bench
ima=/sys/kernel/security/ima
how=$1
shift
exec >/out/results

for size in "$@"; do
	records=${size%:*}
	times=${size#*:}
	./make_records "$records"
	./read_list "$records:list" $ima/binary_runtime_measurements "$times"
	case $how in
	snapshot)
		./hash_list "$records:list" $ima/binary_runtime_measurements "$times"
		./read_list -p "$records:snapshot" $ima/snapshot "$times"
		;;
	staging)
		./request_list $ima/binary_runtime_measurements_staged A
		./read_list "$records:staged" $ima/binary_runtime_measurements_staged "$times"
		./request_list $ima/binary_runtime_measurements_staged D
		;;
	esac
done
