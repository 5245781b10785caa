#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Evidence at three moments, for a verifier on the host: all of the log, what came
# after two more snapshots, and what is left after segments were discarded.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

# evidence NAME NONCE [OPTION...]
evidence() {
	evidence_name=$1 evidence_nonce=$2
	shift 2
	run "$evidence_name" ima-snapshot evidence --nonce "$evidence_nonce" --json "$@"
}

snapshot() {
	measure "$1" 1 60
	run "take.$1" ima-snapshot take --json
}

configure /disk/store 'discard = "verified"'
prepare_load
run ak ima-snapshot ak create --alg ecc --json
cp "$store/ak/ak.pem" /out/ak.pem
snapshot first
snapshot second
measure between 1 20
evidence all 01
snapshot third
snapshot fourth
evidence whole 02
evidence new 03 --after-attempt 2
run state ima-snapshot verify --tpm --state /disk/state
run gc ima-snapshot gc --state /disk/state
evidence discarded 04
gather
