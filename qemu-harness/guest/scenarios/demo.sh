#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# demo.sh FIRST MORE: the cycle that 'make demo' shows. It prints lines of the form
# "step NAME KEY=VALUE..."; /out has the output of the programs.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

first=$1
more=$2

# Kernel memory in slabs, in KiB, without caches.
slab() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	usleep 500000
	sed -n 's/^SUnreclaim: *\([0-9]*\) kB$/\1/p' /proc/meminfo
}

uptime() {
	read -r up rest </proc/uptime
	echo "$up"
}

# Mark a place in the TPM's log: TPM2_GetRandom of $1 bytes.
mark() {
	printf '%b' '\0200\0001\0000\0000\0000\0014\0000\0000\0001\0173\0000'"\\0$(printf '%03o' "$1")" >/dev/tpm0
}

list() {
	echo "step $1 records=$(counter runtime_measurements_count) total=$(counter runtime_measurements_total)" \
		"bytes=$(counter runtime_measurements_size) slab=$(slab) purges=$(counter snapshot_purges)"
}

measured() {
	begin=$(uptime)
	measure "$1" 1 "$2"
	end=$(uptime)
	rm -r "${load:?}/$1"
	echo "step measured files=$2 begin=$begin end=$end"
}

snapshot() {
	mark "$1"
	begin=$(uptime)
	run "take$1" ima-snapshot take --json
	end=$(uptime)
	mark "$1"
	echo "step taken number=$1 status=$(cat "/out/take$1.status") begin=$begin end=$end"
}

echo "step booted release=$(uname -r) uptime=$(uptime)"
configure /disk/store
prepare_load
# Fill the allocator's caches and load the program first.
measure warm-up 1 1000
rm -r "$load/warm-up"
run status ima-snapshot status
list idle

measured first "$first"
list full
snapshot 1
list purged

measured second "$more"
list full
snapshot 2
list purged

measured third "$((more / 10))"
run cat ima-snapshot cat
cat "$ima/binary_runtime_measurements" >/out/live
copy_pcrs /out/pcrs
echo "step stitched total=$(counter runtime_measurements_total)"
run verify ima-snapshot verify --tpm
echo "step verified status=$(cat /out/verify.status)"
