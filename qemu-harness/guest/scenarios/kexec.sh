#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A snapshot, kexec, another snapshot; then kexec with more records than its
# buffer has room for; then kexec after snapshots without a purge; then with a
# purge between load and execute; then, if the kernel has staging, after the
# records that were carried over were staged and deleted, the aggregates among
# them; then with a snapshot open.
# Each part runs in its own kernel; the command line names it.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

configure /disk/store
prepare_load
case $(cat /proc/cmdline) in
*e2e.part=2*)
	dmesg >/out/part2.dmesg
	copy_kernel /out/part2
	copy_pcrs /out/part2.pcrs
	run part2.verify ima-snapshot verify --tpm
	run part2.cat ima-snapshot cat
	measure second 1 150
	run part2.take ima-snapshot take --json
	measure third 1 20
	gather
	load_part 3
	measure overflow 1 1200
	copy_kernel /out/part2.end
	execute
	;;
*e2e.part=3*)
	dmesg >/out/part3.dmesg
	copy_kernel /out/part3
	load_part 4
	for _ in 1 2 3 4 5 6; do
		: <>"$ima/snapshot"
	done
	copy_kernel /out/part3.end
	execute
	;;
*e2e.part=4*)
	dmesg >/out/part4.dmesg
	copy_kernel /out/part4
	load_part 5
	measure purged 1 30
	exec 3<>"$ima/snapshot"
	cat <&3 >/out/part4.segment
	echo 1 >&3
	exec 3>&-
	measure kept 1 400
	copy_kernel /out/part4.end
	execute
	;;
*e2e.part=5*)
	dmesg >/out/part5.dmesg
	copy_kernel /out/part5
	if [ -e "$ima/binary_runtime_measurements_staged" ]; then
		# Records that were carried over are not in the hash table: all of them goes.
		objects >/out/part5.objects
		echo A >"$ima/binary_runtime_measurements_staged"
		echo D >"$ima/binary_runtime_measurements_staged"
		objects >/out/part5.objects-after
	fi
	measure unknown 1 20
	load_part 6
	copy_kernel /out/part5.end
	execute
	;;
*e2e.part=6*)
	copy_kernel /out/part6
	measure read 1 20
	load_part 7
	copy_kernel /out/part6.end
	leave
	snapshot_amid_kexec "$ima/snapshot"
	fail "snapshot_amid_kexec returned"
	;;
*e2e.part=7*)
	copy_kernel /out/part7
	;;
*)
	measure first 1 150
	run part1.take ima-snapshot take --json
	measure carried 1 150
	load_part 2
	copy_kernel /out/part1
	copy_pcrs /out/part1.pcrs
	execute
	;;
esac
