#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Kill snapshots under load, at points spread over the time that one takes.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

kills=12

# In hundredths of a second since boot.
now() {
	read -r up rest </proc/uptime
	echo "${up%.*}${up#*.}"
}

configure /disk/store
prepare_load
begin_load
grow 200
begin=$(now)
run whole ima-snapshot take
span=$((($(now) - begin) * 10000))

kill_number=0
while [ "$kill_number" -lt "$kills" ]; do
	kill_number=$((kill_number + 1))
	grow 20
	ima-snapshot take >"/out/kill$kill_number.stdout" 2>"/out/kill$kill_number.stderr" &
	pid=$!
	# shellcheck disable=SC3028 # busybox has RANDOM
	usleep $((span * (kill_number - 1) / kills + span * (RANDOM % 1000) / 1000 / kills))
	if ! kill -9 "$pid" 2>/dev/null; then
		echo "snapshot $kill_number had ended before"
	fi
	status=0
	wait "$pid" || status=$?
	echo "$status" >"/out/kill$kill_number.status"
done
run after ima-snapshot take
end_load
run last ima-snapshot take
gather
