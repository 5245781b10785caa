#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tpm.sh TIMES OPENINGS: open the snapshot TIMES times, each between two marks.
# Then open it OPENINGS times while two processes measure files, all between two
# marks with the number 1000. Keep the list: it shows whose each extend is.
set -eu

cd /bench
ima=/sys/kernel/security/ima
exec >/out/results

./make_records 100
mark=1
while [ "$mark" -le "$1" ]; do
	./tpm_command mark "$mark"
	./read_list -w "$mark" $ima/snapshot 1
	./tpm_command mark "$mark"
	mark=$((mark + 1))
done
./tpm_command mark 1000
./measure_latency 2 "$2" 20
./tpm_command mark 1000
cat $ima/binary_runtime_measurements >/out/list
