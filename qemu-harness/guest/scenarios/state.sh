#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Verification with a state file over three snapshots reads only what is new. Then
# verified segments are discarded, and commands that need them refuse to work.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

state=/tmp/state

configure /disk/store 'discard = "verified"'
echo 'store = "/disk/store"' >/tmp/never.conf
prepare_load
for snapshot in 1 2 3; do
	measure "before$snapshot" 1 150
	measure_violation "$snapshot"
	run "take$snapshot" ima-snapshot take --json
	measure "after$snapshot" 1 20
	run "verify$snapshot" ima-snapshot verify --tpm --state "$state" --json
done
cp "$state" /out/state
gather

run gc-never ima-snapshot --config /tmp/never.conf gc --state "$state" --json
run list-never ima-snapshot list --json
run gc ima-snapshot gc --state "$state" --json
run list-after ima-snapshot list --json
run status-after ima-snapshot status --json
run cat-refused ima-snapshot cat --json
run verify-refused ima-snapshot verify --tpm --json
# sed takes the last "first_record", which is that of the last segment.
from=$(sed 's/.*"first_record":\([0-9]*\).*/\1/' /out/list-after.stdout)
run cat-rest ima-snapshot cat --from "$from"
run verify-rest ima-snapshot verify --tpm --state "$state" --json
cp "$state" /tmp/damaged
sed -i 's/"records":/"records":1/' /tmp/damaged
run verify-damaged ima-snapshot verify --tpm --state /tmp/damaged --json

# Snapshots and verification still work after that.
measure more 1 30
run take4 ima-snapshot take --json
run verify4 ima-snapshot verify --tpm --state "$state" --json
run gc4 ima-snapshot gc --state "$state" --json
