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
# "snapshot_aggregate Snapshot_Attempt_Count=", the second word in hex
event='snapshot_aggregate 536e617073686f745f417474656d70745f436f756e743d'
pcr='[a-z0-9_-]+:PCR[0-9]+:0x[0-9A-F]+'
text="Snapshot_Attempt_Count=[0-9]+;($pcr(,$pcr)*;)*Record_Count=[0-9]+;"
text="${text}Segment_Hash=sha256:[0-9a-f]{64};"

aggregates() { # prints the lines of the aggregates on its input
	LC_ALL=C grep -E "^ ?[0-9]+ [0-9a-f]+ ima-buf [^ ]+ ${event}[0-9a-f]+\$" |
	while IFS= read -r line; do
		echo "${line##* }" | xxd -r -p | tr '\000\n' '  ' |
		LC_ALL=C grep -qxE "$text" && printf '%s\n' "$line"
	done
}

list=/sys/kernel/security/ima/ascii_runtime_measurements
last=$(aggregates <$list | tail -n 1)
echo "$last" | cut -d' ' -f6 | xxd -r -p >/out/recipe.text
echo "$last" | cut -d' ' -f6 | xxd -r -p | sha256sum >/out/recipe.sha256sum
echo "$last" | cut -d' ' -f4 >/out/recipe.d-ng
