# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the scenarios share; they run in the guest, under busybox.
#
# The policy measures what is read from ramfs, and nothing else is on a ramfs
# but /load: neither the programs nor the store are measured.

ima=/sys/kernel/security/ima
load=/load
stop_file=/tmp/stop

fail() {
	echo "scenario: $*" >&2
	exit 1
}

counter() {
	read -r value <"$ima/$1"
	echo "$value"
}

# Of records measured: a stock kernel counts only those in its list, which is as
# good as long as nobody takes them.
measured_counter=runtime_measurements_total
[ -e "$ima/$measured_counter" ] || measured_counter=runtime_measurements_count

prepare_load() {
	mkdir -p "$load"
	mount -t ramfs ramfs "$load"
}

# configure STORE [LINE...]: the program's configuration, and the store's directory.
configure() {
	store=$1
	shift
	mkdir -p "$store"
	{
		echo "store = \"$store\""
		for line in "$@"; do
			echo "$line"
		done
	} >/etc/ima-snapshot.conf
}

# measure NAME FIRST LAST: create and read the files NAME/FIRST to NAME/LAST,
# each with a name and contents that no other file has.
measure() {
	[ -d "$load/$1" ] || mkdir "$load/$1"
	number=$2
	while [ "$number" -le "$3" ]; do
		echo "$1 $number" >"$load/$1/$number"
		read -r line <"$load/$1/$number"
		[ "$line" = "$1 $number" ] || fail "$load/$1/$number reads $line"
		number=$((number + 1))
	done
}

# A file that is read while it is written is a violation.
measure_violation() {
	[ -d "$load/violations" ] || mkdir -p "$load/violations"
	echo "$1" >"$load/violations/$1"
	exec 5>>"$load/violations/$1"
	read -r line <"$load/violations/$1"
	exec 5>&-
}

worker() {
	done_files=0
	while [ ! -e "$stop_file" ]; do
		done_files=$((done_files + 1))
		measure "worker$1" "$done_files" "$done_files"
		if [ $((done_files % 100)) -eq 0 ]; then
			measure_violation "$1.$done_files"
		fi
	done
	mkdir -p /out/workers
	echo "$done_files" >"/out/workers/worker$1"
}

# Four processes that measure files as fast as they can, until end_load.
begin_load() {
	rm -f "$stop_file"
	workers=
	for name in 1 2 3 4; do
		worker "$name" &
		workers="$workers $!"
	done
}

end_load() {
	: >"$stop_file"
	for pid in $workers; do
		wait "$pid" || fail "a worker failed"
	done
}

# grow N: until N more records were measured. The counter of a stock kernel falls
# where records are taken meanwhile: only what is added to it counts.
grow() {
	left=$1
	before=$(counter "$measured_counter")
	while [ "$left" -gt 0 ]; do
		usleep 10000
		after=$(counter "$measured_counter")
		[ "$after" -le "$before" ] || left=$((left - after + before))
		before=$after
	done
}

# In hundredths of a second since boot.
now() {
	read -r up rest </proc/uptime
	echo "${up%.*}${up#*.}"
}

# kill_snapshots N SPAN: kill N snapshots at points spread over SPAN
# microseconds, the time that one takes.
kill_snapshots() {
	kill_number=0
	while [ "$kill_number" -lt "$1" ]; do
		kill_number=$((kill_number + 1))
		grow 20
		ima-snapshot take >"/out/kill$kill_number.stdout" 2>"/out/kill$kill_number.stderr" &
		pid=$!
		# shellcheck disable=SC3028 # busybox has RANDOM
		usleep $(($2 * (kill_number - 1) / $1 + $2 * (RANDOM % 1000) / 1000 / $1))
		if ! kill -9 "$pid" 2>/dev/null; then
			echo "snapshot $kill_number had ended before"
		fi
		status=0
		wait "$pid" || status=$?
		echo "$status" >"/out/kill$kill_number.status"
	done
}

# run NAME COMMAND...: run it, keep what it prints and its exit status in /out.
# By way of /tmp: what writes byte by byte is slow on the host's file system.
run() {
	run_name=$1
	shift
	run_status=0
	"$@" >/tmp/run.stdout 2>/tmp/run.stderr || run_status=$?
	cp /tmp/run.stdout "/out/$run_name.stdout"
	cp /tmp/run.stderr "/out/$run_name.stderr"
	echo "$run_status" >"/out/$run_name.status"
}

# copy_kernel DIR: the list in memory and the counters that this kernel has, as
# they are now.
copy_kernel() {
	mkdir -p "$1"
	for name in binary_runtime_measurements ascii_runtime_measurements runtime_measurements_count \
		runtime_measurements_total runtime_measurements_size snapshot_attempts snapshot_purges; do
		[ ! -e "$ima/$name" ] || cat "$ima/$name" >"$1/$name"
	done
}

# copy_pcrs DIR: a file a bank, in the form that evmctl and ima-snapshot read.
copy_pcrs() {
	mkdir -p "$1"
	for bank in /sys/class/tpm/tpm0/pcr-*; do
		algorithm=${bank##*/pcr-}
		pcr=0
		while [ "$pcr" -lt 24 ]; do
			read -r value <"$bank/$pcr"
			printf 'PCR-%02d: %s\n' "$pcr" "$value"
			pcr=$((pcr + 1))
		done >"$1/$algorithm"
	done
}

# The daemon, which logs here.
log=/tmp/daemon.log

# said TEXT: how many lines of the log have it.
said() {
	grep -cF "$1" "$log" || [ $? -eq 1 ]
}

# until_said N TEXT
until_said() {
	while [ "$(said "$2")" -lt "$1" ]; do
		kill -0 "$daemon" || fail "the daemon is gone"
		usleep 10000
	done
}

# until_below N: until there are fewer than N records in memory.
until_below() {
	while [ "$(counter runtime_measurements_count)" -ge "$1" ]; do
		kill -0 "$daemon" || fail "the daemon is gone"
		usleep 10000
	done
}

# Until it is ready, with what its unit leaves it of root's capabilities; a
# snapshot that is due begins right after.
start_daemon() {
	: >>"$log"
	starts=$(said "$store: a snapshot at")
	# By its path: the shell has a smaller one of its own.
	/usr/local/bin/setpriv --bounding-set=-all,+sys_admin --inh-caps=-all --no-new-privs \
		ima-snapshotd -v 2>>"$log" &
	daemon=$!
	until_said $((starts + 1)) "$store: a snapshot at"
}

# end_daemon SIGNAL STATUS
end_daemon() {
	kill "-$1" "$daemon"
	status=0
	wait "$daemon" || status=$?
	[ "$status" -eq "$2" ] || fail "the daemon ended with $status after SIG$1"
}

# The view.
view=/run/view

# begin_view NAME: mount it; what it says goes to /out/NAME.stderr.
begin_view() {
	ima-snapshot mount "$view" 2>"/out/$1.stderr" &
	server=$!
	# Not by its name, which the kernel still knows of a view that died.
	until cat "$view/runtime_measurements_count" >/tmp/ready 2>&1; do
		kill -0 "$server" || fail "the view was not mounted: $(cat "/out/$1.stderr")"
		usleep 20000
	done
}

# held: what the log now has beyond what descriptor 5 was read to before. Not to
# the end: under load a reader that sees each new record has none.
have=0
held() {
	size=$(stat -c %s "$view/binary_runtime_measurements")
	if [ "$size" -gt "$have" ]; then
		dd bs=$((size - have)) count=1 iflag=fullblock <&5 >>/tmp/held 2>/tmp/dd ||
			fail "a reader that kept its descriptor: $(cat /tmp/dd)"
	fi
	have=$size
}

# copy_view FILE...: what readers get, and these files of the view too.
copy_view() {
	mkdir -p /out/view
	for name in "$view"/*_runtime_measurements* "$view/runtime_measurements_count" "$@"; do
		cat "$name" >/tmp/copy
		cp /tmp/copy "/out/view/${name##*/}"
	done
}

# gather: everything that the host's checks need; nothing may be measuring.
gather() {
	copy_kernel /out/ima
	copy_pcrs /out/pcrs
	run cat ima-snapshot cat
	run cat-ascii ima-snapshot cat --ascii
	run verify ima-snapshot verify --tpm
	run verify-json ima-snapshot verify --tpm --json
	run list ima-snapshot list --json
	cp -r "$store" /out/store
	copy_kernel /out/ima-after
}
