#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# latency.sh BANKS OPENINGS MIN_GAP_MS {alone|loop|hang}: measure how long one
# process waits for its records while the snapshot is opened OPENINGS times, between
# two marks with the number 1000, and how long the commands of the TPM take. With
# loop, another process uses the TPM meanwhile. With hang, the TPM hangs at the first
# read of PCR 10, so that only the snapshot is measured.
set -eu

cd /bench
ima=/sys/kernel/security/ima
exec >/out/results

if [ "$4" = hang ]; then
	./measure_latency 1 "$2" "$3"
	exit
fi

commands() { # BANKS
	./tpm_command read "$1" 30
	./tpm_command extend "$1" 30
}

commands "$1"
./tpm_command mark 1000
if [ "$4" = loop ]; then
	./tpm_command loop &
	looping=$!
fi
./measure_latency 1 "$2" "$3"
if [ "$4" = loop ]; then
	kill "$looping"
	wait "$looping" || :
fi
./tpm_command mark 1000
commands "$1"
cat $ima/binary_runtime_measurements >/out/list
