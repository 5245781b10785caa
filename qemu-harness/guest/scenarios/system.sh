# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Functions for scenarios with the Debian on /disk: the package is installed in it,
# and its systemd becomes the guest's first program.

root=/disk
# For gather and copy_view.
# shellcheck disable=SC2034
store=$root/var/lib/ima-snapshot
# shellcheck disable=SC2034
view=$root/run/ima-snapshot/view
limits=$root/etc/ima-snapshot.conf.d/10-limits.conf
services='ima-snapshotd ima-snapshot-view'

# Run a program of the Debian system.
inside() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 chroot "$root" "$@"
}

property() {
	inside systemctl show --value --property "$2" "$1"
}

limit() {
	printf 'max_records = %s\ncheck_interval = 1\n' "$1" >"$limits"
}

# until_below N: wait until there are fewer than N records in memory.
until_below() {
	while [ "$(counter runtime_measurements_count)" -ge "$1" ]; do
		[ "$(property ima-snapshotd ActiveState)" != failed ] || fail "the daemon failed"
		usleep 100000
	done
}

tell() {
	for service in $services; do
		inside journalctl --quiet --no-pager --boot --output short-monotonic --unit "$service" \
			>"/out/$service.journal"
		inside systemctl show "$service" >"/out/$service.$1"
	done
	inside systemctl --failed --no-legend --plain >"/out/failed.$1"
}

# Let systemd take over, and wait until it has started everything that is enabled.
hand_over() {
	kill -USR1 1
	until [ -S "$root/run/systemd/private" ]; do
		usleep 100000
	done
	# A unit of the Debian system itself may fail; /out/running shows that.
	inside systemctl is-system-running --wait >/out/running || true
}

# Start systemd. From here on ima-snapshot is the package's.
start_systemd() {
	# This shows why a scenario failed. systemd may not have started at all.
	trap 'tell end || true' EXIT
	printf '#!/bin/sh\nexec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot %s ima-snapshot "$@"\n' \
		"$root" >/usr/local/bin/ima-snapshot
	hand_over
	tell booted
}

start_services() {
	inside systemctl start ima-snapshotd
	until [ "$(property ima-snapshot-view ActiveState)" = active ]; do
		usleep 100000
	done
}

stop_services() {
	# shellcheck disable=SC2086 # two words
	inside systemctl stop $services
	tell stopped
	trap - EXIT
}
