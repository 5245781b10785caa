# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Functions that the scenarios share; they run in the guest, under busybox.
#
# The policy measures files that are read from a ramfs. Only /load is one, so
# neither the programs nor the store are measured.

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

# The counter of measured records. A stock kernel counts only those in its list,
# which is the same until some are taken.
measured_counter=runtime_measurements_total
[ -e "$ima/$measured_counter" ] || measured_counter=runtime_measurements_count

prepare_load() {
	mkdir -p "$load"
	mount -t ramfs ramfs "$load"
}

# configure STORE [LINE...]: write the configuration and make the store's directory.
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

# Reading a file that is open for writing is a violation.
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

# Start four processes that measure files as fast as they can, until end_load.
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

# grow N: wait until N more records were measured. The counter of a stock kernel
# falls if records are taken meanwhile, so only increases count.
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

# load_part PART: load this kernel again, with PART on its command line.
load_part() {
	read -r command_line </proc/cmdline
	kexec -s -l /boot/bzImage --initrd=/boot/initrd --command-line="${command_line%% e2e.part=*} e2e.part=$1"
}

leave() {
	sync
	umount /disk
}

# Execute the kernel that was loaded.
execute() {
	leave
	kexec -e
	fail "kexec -e returned"
}

# The time since boot, in hundredths of a second.
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

# run NAME COMMAND...: run it, keep its output and exit status in /out. The output
# goes to /tmp first, because small writes to the host's file system are slow.
run() {
	run_name=$1
	shift
	run_status=0
	"$@" >/tmp/run.stdout 2>/tmp/run.stderr || run_status=$?
	cp /tmp/run.stdout "/out/$run_name.stdout"
	cp /tmp/run.stderr "/out/$run_name.stderr"
	echo "$run_status" >"/out/$run_name.status"
}

# How many objects of kmalloc() are in use, once its caches gave back the others.
objects() {
	for cache in /sys/kernel/slab/kmalloc-*; do
		echo 1 >"$cache/shrink"
	done
	while read -r name active _; do
		case $name in
		kmalloc-*) echo "$active" ;;
		esac
	done </proc/slabinfo
}

# copy_kernel DIR: copy the list in memory and the counters that this kernel has.
copy_kernel() {
	mkdir -p "$1"
	for name in binary_runtime_measurements ascii_runtime_measurements runtime_measurements_count \
		runtime_measurements_total runtime_measurements_size snapshot_attempts snapshot_purges; do
		[ ! -e "$ima/$name" ] || cat "$ima/$name" >"$1/$name"
	done
}

# copy_pcrs DIR: write one file per bank, in the form that evmctl and ima-snapshot read.
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

# The log of the daemon.
log=/tmp/daemon.log

# said TEXT: print how many lines of the log have it.
said() {
	grep -cF "$1" "$log" || [ $? -eq 1 ]
}

# until_said N TEXT: wait until N lines of the log have it.
until_said() {
	while [ "$(said "$2")" -lt "$1" ]; do
		kill -0 "$daemon" || fail "the daemon is gone"
		usleep 10000
	done
}

# until_below N: wait until there are fewer than N records in memory.
until_below() {
	while [ "$(counter runtime_measurements_count)" -ge "$1" ]; do
		kill -0 "$daemon" || fail "the daemon is gone"
		usleep 10000
	done
}

# Start the daemon with only those of root's capabilities that its unit grants, and
# wait until it is ready. A snapshot that is due begins right after that.
start_daemon() {
	: >>"$log"
	starts=$(said "$store: a snapshot at")
	# By its path: busybox has a setpriv with fewer options.
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

# begin_view NAME: mount it; its messages go to /out/NAME.stderr.
begin_view() {
	ima-snapshot mount "$view" 2>"/out/$1.stderr" &
	server=$!
	# Read the file: the kernel still knows its name if an earlier view died.
	until cat "$view/runtime_measurements_count" >/tmp/ready 2>&1; do
		kill -0 "$server" || fail "the view was not mounted: $(cat "/out/$1.stderr")"
		usleep 20000
	done
}

# held: read descriptor 5 on to the current size of the log. Not to its end: under
# load a reader that sees each new record never reaches the end.
have=0
held() {
	size=$(stat -c %s "$view/binary_runtime_measurements")
	if [ "$size" -gt "$have" ]; then
		dd bs=$((size - have)) count=1 iflag=fullblock <&5 >>/tmp/held 2>/tmp/dd ||
			fail "a reader that kept its descriptor: $(cat /tmp/dd)"
	fi
	have=$size
}

# copy_view FILE...: copy the lists of the view, and these of its files, too.
copy_view() {
	mkdir -p /out/view
	for name in "$view"/*_runtime_measurements* "$view/runtime_measurements_count" "$@"; do
		cat "$name" >/tmp/copy
		cp /tmp/copy "/out/view/${name##*/}"
	done
}

# gather: copy everything that the host's checks need. No file may be measured meanwhile.
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
