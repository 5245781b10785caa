#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The installed package under systemd: both services start if that of the daemon is
# enabled. They are reloaded, killed, hung and stopped while files are measured. Then
# the machine is shut down while they work.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source-path=SCRIPTDIR source=system.sh
. "${0%/*}/system.sh"

# until_restarted SERVICE N: wait until it was restarted for the Nth time and is ready.
until_restarted() {
	until [ "$(property "$1" NRestarts)" -ge "$2" ] && [ "$(property "$1" ActiveState)" = active ]; do
		[ "$(property "$1" ActiveState)" != failed ] || fail "$1 failed"
		usleep 100000
	done
}

# The number of segments in the store.
segments() {
	find "$store/boots" -name '*.ima' | wc -l
}

# as_user GROUPS COMMAND...: run it as an ordinary user. setpriv by its path: busybox
# has one with fewer options.
as_user() {
	groups=$1
	shift
	inside /usr/bin/setpriv --reuid 1000 --regid 1000 "$groups" --inh-caps=-all "$@"
}

limit 200
prepare_load
inside systemctl enable ima-snapshotd
mkdir -p "$root/var/log/journal"
start_systemd

# As soon as there are too many records, the daemon takes a snapshot.
measure first 1 300
until_below 200

# Who may read what.
group=$(inside getent group ima-log)
group=${group#*:*:}
binary=/run/ima-snapshot/view/binary_runtime_measurements
segment=/var/lib/ima-snapshot/current/00000001.ima
run member-view as_user "--groups=${group%%:*}" cat "$binary"
run stranger-view as_user --clear-groups cat "$binary"
run member-segment as_user "--groups=${group%%:*}" cat "$segment"
run stranger-segment as_user --clear-groups cat "$segment"

# A lower limit.
limit 20
inside systemctl reload ima-snapshotd
until_below 20

# Killed while files are measured.
load=/load/killed
mkdir "$load"
begin_load
for number in 1 2; do
	for service in $services; do
		# Only the main process: systemd reads the cgroup afterwards, and fails
		# if it finds a dying process there.
		inside systemctl kill --kill-whom main --signal KILL "$service"
		until_restarted "$service" "$number"
	done
	grow 50
done
end_load
load=/load
until_below 20

# Hung: systemd's watchdog restarts the daemon.
mkdir -p "$root/run/systemd/system/ima-snapshotd.service.d"
printf '[Service]\nWatchdogSec=10\nTimeoutAbortSec=1\n' \
	>"$root/run/systemd/system/ima-snapshotd.service.d/watchdog.conf"
inside systemctl daemon-reload
inside systemctl restart ima-snapshotd
sleep 15
[ "$(property ima-snapshotd NRestarts)" = 0 ] || fail "the watchdog killed a daemon that works"
inside systemctl kill --kill-whom main --signal STOP ima-snapshotd
until_restarted ima-snapshotd 1
measure hung 1 30
until_below 20

copy_view "$view/violations"
stop_services
inside systemctl list-units --no-legend --plain --type mount >/out/mounts
run status ima-snapshot status --json
for unit in $services ima-snapshot-final; do
	run "exposure.$unit" inside systemd-analyze security --no-pager --offline=true "$unit.service"
done
gather

# A configuration that it refuses: restarts would not help, so systemd must not try.
echo 'max_records = many' >"$limits"
run refused inside systemctl start ima-snapshotd
inside systemctl show ima-snapshotd >/out/ima-snapshotd.refused
limit 20

# Shut down while they work; reboot.sh continues from there. The view starts with the daemon.
start_services
load=/load/shutdown
mkdir "$load"
# The harness's output ends with this script, but the load continues.
exec >/tmp/load.log 2>&1
begin_load
stored=$(segments)
until [ "$(segments)" -gt "$stored" ]; do
	usleep 100000
done
