#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Snapshots under load until the harness cuts the power, then a boot with the
# same disk and the same TPM.
# Environment: PART (first or second), and for the first part POINT: "renamed" (as
# soon as a segment has its name) or a time in microseconds.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

configure /disk/store
prepare_load
if [ "${PART:?}" = second ]; then
	cp -r "$store" /out/found
	measure second 1 50
	run take ima-snapshot take --json
	run status ima-snapshot status --json
	measure third 1 20
	gather
	exit 0
fi

begin_load
grow 100
run take1 ima-snapshot take
snapshots() {
	while true; do
		ima-snapshot take >/dev/null
	done
}
snapshots &
case ${POINT:?} in
renamed)
	until [ -e "$store/boots/00000001/00000004.ima" ]; do
		:
	done
	;;
*)
	usleep "$POINT"
	;;
esac
echo "pull the plug"
wait
