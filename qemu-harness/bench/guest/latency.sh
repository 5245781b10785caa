#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# latency.sh BANKS OPENINGS MIN_GAP_MS: measure how long one process waits for
# its records while the snapshot is opened OPENINGS times, and how long the
# commands of the TPM take.
set -eu

cd /bench
exec >/out/results

./tpm_command read "$1" 30
./tpm_command extend "$1" 30
./measure_latency 1 "$2" "$3"
./tpm_command read "$1" 30
./tpm_command extend "$1" 30
