#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# latency.sh BANKS OPENINGS MIN_GAP_MS: what a record costs one process while
# the snapshot is opened OPENINGS times, and what the TPM's commands cost.
set -eu

cd /bench
exec >/out/results

./tpm_command read "$1" 30
./tpm_command extend "$1" 30
./measure_latency 1 "$2" "$3"
./tpm_command read "$1" 30
./tpm_command extend "$1" 30
