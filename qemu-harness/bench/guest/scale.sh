#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# scale.sh "WAY..." RECORDS...: for each number and each way (snapshot or staging), fill the
# list, export and remove it while a file is measured. Print what 1000 records more cost
# before that and after it, and the size of the slab caches before, with and after the records.
set -eu

cd /bench
ima=/sys/kernel/security/ima
ways=$1
shift
exec >/out/results

# Fill the caches of the file system and of these programs first.
./make_records 100
./slab_bytes warm >/dev/null

for records in "$@"; do
	for way in $ways; do
		echo "{\"what\":\"turn\",\"way\":\"$way\",\"records\":$records}"
		./slab_bytes before
		./make_records $((records - 1000))
		./make_records 1000
		./slab_bytes with
		./remove_list "$way"
		./make_records 1000
		# Those of this last measurement go, too.
		case $way in
		snapshot)
			./read_list -p rest $ima/snapshot 1
			;;
		staging)
			./request_list $ima/binary_runtime_measurements_staged A
			./request_list $ima/binary_runtime_measurements_staged D
			;;
		esac
		./slab_bytes after
	done
done
