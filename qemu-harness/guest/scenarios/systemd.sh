#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The installed package as systemd runs it: both services come up by themselves,
# are reloaded, killed, hung and stopped while files are measured. The system is on
# /disk; its systemd is the first process of a PID namespace.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

root=/disk
# What gather copies.
# shellcheck disable=SC2034
store=$root/var/lib/ima-snapshot
view=$root/run/ima-snapshot/view
limits=$root/etc/ima-snapshot.conf.d/10-limits.conf
services='ima-snapshotd ima-snapshot-view'

# A program of the system. systemd talks to nobody whose PID it cannot know, so
# once it runs this is in its namespace.
pid_namespace=
inside() {
	# shellcheck disable=SC2086 # some words or none
	$pid_namespace env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 chroot "$root" "$@"
}

property() {
	inside systemctl show --value --property "$2" "$1"
}

limit() {
	printf 'max_records = %s\ncheck_interval = 1\n' "$1" >"$limits"
}

# until_below N: until there are fewer than N records in memory.
until_below() {
	while [ "$(counter runtime_measurements_count)" -ge "$1" ]; do
		[ "$(property ima-snapshotd ActiveState)" != failed ] || fail "the daemon failed"
		usleep 100000
	done
}

# until_restarted SERVICE N: until it was restarted for the Nth time and is ready.
until_restarted() {
	until [ "$(property "$1" NRestarts)" -ge "$2" ] && [ "$(property "$1" ActiveState)" = active ]; do
		[ "$(property "$1" ActiveState)" != failed ] || fail "$1 failed"
		usleep 100000
	done
}

# as_user GROUPS COMMAND...: as somebody who is not root. By its path: the shell
# has a smaller setpriv of its own.
as_user() {
	groups=$1
	shift
	inside /usr/bin/setpriv --reuid 1000 --regid 1000 "$groups" --inh-caps=-all "$@"
}

tell() {
	for service in $services; do
		inside journalctl --quiet --no-pager --output short-monotonic --unit "$service" \
			>"/out/$service.journal"
		inside systemctl show "$service" >"/out/$service.$1"
	done
	inside systemctl --failed --no-legend --plain >"/out/failed.$1"
}

start_systemd() {
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	unshare -p -f sh -c "mount -t proc proc $root/proc &&
		exec env -i container=harness PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot $root \
			/lib/systemd/systemd --unit=multi-user.target" >/out/systemd.log 2>&1 &
	systemd=$!
	until [ -S "$root/run/systemd/private" ]; do
		kill -0 "$systemd" || fail "systemd ended"
		usleep 100000
	done
	# Children that it forked are called so too, until they are another program.
	pid_namespace="nsenter -t $(pidof systemd | tr ' ' '\n' | sort -n | head -n 1) -p"
	# Of the system's own units one may fail; it says so for whoever reads it.
	inside systemctl is-system-running --wait >/out/running || true
}

# From here on it is the package's.
printf '#!/bin/sh\nexec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot %s ima-snapshot "$@"\n' \
	"$root" >/usr/local/bin/ima-snapshot
limit 200
prepare_load
# shellcheck disable=SC2086 # two words
inside systemctl enable $services
# For whoever reads why it failed: systemd may be gone by then.
trap 'tell end || true' EXIT
start_systemd
tell booted

# As soon as there are too many records a snapshot is taken.
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
		# The main process alone: systemd reads its cgroup afterwards, and fails
		# where it is found dying there.
		inside systemctl kill --kill-whom main --signal KILL "$service"
		until_restarted "$service" "$number"
	done
	grow 50
done
end_load
load=/load
until_below 20

# Hung: what systemd's watchdog is for.
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
# shellcheck disable=SC2086 # two words
inside systemctl stop $services
tell stopped
trap - EXIT
inside systemctl list-units --no-legend --plain --type mount >/out/mounts
run status ima-snapshot status --json
run exposure inside systemd-analyze security --no-pager --offline=true ima-snapshotd.service
gather
# All is told: what is left ends with the guest.
inside systemctl exit || true
wait "$systemd" || true
