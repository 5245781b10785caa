#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon under load: limits, SIGHUP, a broken configuration, kill -9 and
# SIGTERM at points spread over a snapshot, a full disk. It has only those of root's
# capabilities that its unit grants.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

kills=4

limits() {
	configure /disk/store "max_records = $1" 'max_bytes = 0' 'check_interval = 1'
}

# until_purges N
until_purges() {
	while [ "$(counter snapshot_purges)" -lt "$1" ]; do
		kill -0 "$daemon" || fail "the daemon is gone"
		usleep 10000
	done
}

# Each phase has its own directory, so that no two files have the same name.
begin_phase() {
	load=/load/$1
	mkdir "$load"
	begin_load
}

end_phase() {
	end_load
	mv /out/workers "/out/workers.${load##*/}"
	load=/load
}

trap 'cp "$log" /out/daemon.log' EXIT
prepare_load

# Memory is bounded while files are measured.
limits 200
start_daemon
begin_phase bounded
until_purges 2
limits nonsense
kill -HUP "$daemon"
until_said 1 'the old configuration stays in force'
until_purges $(($(counter snapshot_purges) + 1))
end_phase
until_below 200
copy_kernel /out/bounded
end_daemon TERM 0
cp "$log" /out/bounded.log

# A lower limit takes effect at once.
limits 200
ima-snapshot take >/dev/null
measure low 1 60
start_daemon
copy_kernel /out/low.before
limits 20
kill -HUP "$daemon"
until_below 20
copy_kernel /out/low.after
end_daemon TERM 0

# Killed and stopped at points spread over the time that a snapshot takes.
begin_phase killed
grow 60
start_daemon
begin=$(now)
until_purges $(($(counter snapshot_purges) + 1))
span=$((($(now) - begin) * 10000))
end_daemon KILL 137
killed=0
while [ "$killed" -lt "$kills" ]; do
	for end in 'KILL 137' 'TERM 0'; do
		grow 60
		start_daemon
		# shellcheck disable=SC3028 # busybox has RANDOM
		usleep $((span * killed / kills + span * (RANDOM % 1000) / 1000 / kills))
		# shellcheck disable=SC2086 # two words
		end_daemon $end
	done
	killed=$((killed + 1))
done
end_phase

# A disk without room, then with room again.
start_daemon
until_below 20
if dd if=/dev/zero of=/disk/filler bs=64k 2>/dev/null; then
	fail "the disk cannot be filled"
fi
measure full 1 60
until_said 1 'min_free_space keeps'
copy_kernel /out/full
rm /disk/filler
until_below 20
copy_kernel /out/room-again
end_daemon INT 0
gather
