#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Storms, one in each of PARTS kernels; the next kernel is loaded in the middle of one.
# Environment: PARTS, DURATION of one in seconds, SEED, RECORDS that the first begins
# with, and RAW: "yes" if the storm itself removes records and saves them in /disk/log.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

read -r command_line </proc/cmdline
part=1
case $command_line in
*e2e.part=*) part=${command_line##*e2e.part=} ;;
esac
configure /disk/store
prepare_load
mkdir "$load/$part"
raw=
[ "${RAW:?}" != yes ] || raw="--raw /disk/log"
[ "$part" = 1 ] || RECORDS=0
# shellcheck disable=SC2086 # two words, or none
storm $raw "${RECORDS:?}" "${DURATION:?}" $((${SEED:?} + part)) "$load/$part" >"/out/measured.$part" &
storm=$!
if [ "$part" -lt "${PARTS:?}" ]; then
	until [ -d "$load/$part/1" ]; do # it has begun
		sleep 1
	done
	sleep $((DURATION / 2))
	load_part $((part + 1))
fi
wait "$storm" || fail "the storm of SEED=$SEED ended with $?"
if [ -z "$raw" ]; then
	# A take that was killed last may still be at work.
	sleep 1
	run "take.$part" ima-snapshot take --json
fi
if [ "$part" -lt "$PARTS" ]; then
	execute
fi
if [ -n "$raw" ]; then
	copy_kernel /out/ima
	copy_pcrs /out/pcrs
	cp /disk/log /out/log
else
	gather
fi
