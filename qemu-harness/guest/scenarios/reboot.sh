#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The boot after systemd.sh, with the same disk and the same TPM.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source-path=SCRIPTDIR source=system.sh
. "${0%/*}/system.sh"

cp -r "$store" /out/found
prepare_load
start_systemd
for service in $services; do
	inside journalctl --quiet --no-pager --boot=-1 --output short-monotonic --unit "$service" \
		>"/out/$service.before"
done
measure after 1 100
until_below 20
copy_view "$view/violations"
stop_services
gather
