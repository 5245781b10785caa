#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# scale.sh "WAY..." {cost|latency} RECORDS...: for each number and each way (snapshot or
# staging), fill the list, export it and remove it. For the cost, print what the last 1000
# records took, what 1000 take after it, and the size of the slab caches before, with and
# after the records. For the latency, a file is measured meanwhile.
set -eu

cd /bench
ima=/sys/kernel/security/ima
staged=$ima/binary_runtime_measurements_staged
ways=$1
what=$2
shift 2
exec >/out/results

remove() {
	case $way in
	snapshot)
		./read_list -p "$1" $ima/snapshot 1
		;;
	staging)
		./request_list $staged A
		./read_list "$1" $staged 1
		./request_list $staged D
		;;
	esac
}

# Fill the caches of the file system and of these programs first.
./make_records 100
./slab_bytes warm >/dev/null

for records in "$@"; do
	for way in $ways; do
		remove rest >/tmp/rest
		echo "{\"what\":\"turn\",\"way\":\"$way\",\"records\":$records}"
		if [ "$what" = latency ]; then
			./make_records "$records"
			./remove_list "$way"
			continue
		fi
		./slab_bytes before
		./make_records $((records - 1000))
		./make_records 1000
		./slab_bytes with
		remove all
		./make_records 1000
	done
done
