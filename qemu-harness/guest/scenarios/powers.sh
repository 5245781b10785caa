#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# One of many boots with the same disk and the same TPM. The harness cuts the power.
# Environment: WORK ("take" or "daemon") and POINT, the time until then in microseconds;
# or WORK=none for the last boot, whose power is not cut.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

configure /disk/store 'max_records = 60' 'max_bytes = 0' 'check_interval = 1'
prepare_load
if [ -d "$store/boots" ]; then
	last=
	for last in "$store"/boots/*; do
		:
	done
	cp -r "$last" /out/found
fi
case ${WORK:?} in
take)
	begin_load
	while true; do
		ima-snapshot take >/dev/null
	done &
	;;
daemon)
	begin_load
	start_daemon
	;;
none)
	measure last 1 20
	run take ima-snapshot take --json
	gather
	exit 0
	;;
esac
usleep "${POINT:?}"
echo "pull the plug"
wait
