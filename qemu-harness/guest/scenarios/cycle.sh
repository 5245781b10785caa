#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Three snapshots while four processes measure files; then, at rest, gather what
# shows whether a record was lost.
# Environment: STORE, and CONFIG, one more line for the configuration.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

configure "${STORE:?}" ${CONFIG:+"$CONFIG"}
prepare_load
begin_load
for snapshot in 1 2 3; do
	grow 250
	run "take$snapshot" ima-snapshot take --json
done
grow 50
end_load
gather

# The recipe of Documentation/security/IMA-snapshot.rst.
line=$(grep snapshot_aggregate /sys/kernel/security/ima/ascii_runtime_measurements | tail -n 1)
echo "$line" | cut -d' ' -f6 | xxd -r -p >/out/recipe.text
echo "$line" | cut -d' ' -f6 | xxd -r -p | sha256sum >/out/recipe.sha256sum
echo "$line" | cut -d' ' -f4 >/out/recipe.d-ng
