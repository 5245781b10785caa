#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The boot after systemd.sh, with the same disk and the same TPM. Then systemd executes
# the kernel again, twice: after a final snapshot, and after one for which the store had
# no room. Each time more records are measured before that than the buffer has room for.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source-path=SCRIPTDIR source=system.sh
. "${0%/*}/system.sh"

# Let systemd execute the kernel that was loaded.
execute() {
	trap - EXIT
	inside systemctl kexec
	sleep 600
	fail "systemctl kexec did not execute the kernel"
}

prepare_load
case $(cat /proc/cmdline) in
*e2e.part=kexec*)
	dmesg >/out/kexec.dmesg
	configure "$store"
	copy_kernel /out/kexec
	copy_pcrs /out/kexec.pcrs
	cp -r "$store" /out/kexec.store
	run kexec.verify ima-snapshot verify --tpm --json
	run kexec.cat ima-snapshot cat
	run kexec.take ima-snapshot take --json
	# That it fails does not depend on the interface.
	[ -e "$ima/snapshot" ] || exit 0
	# No file system has so much room.
	limit 100000
	echo 'min_free_space = "900G"' >>"$limits"
	hand_over
	load_part full
	measure lost 1 2000
	copy_kernel /out/full.end
	execute
	;;
*e2e.part=full*)
	configure "$store"
	copy_kernel /out/full
	# No systemd runs that would have mounted it, and journalctl reads the boot's ID there.
	mount -t proc proc "$root/proc"
	inside journalctl --quiet --no-pager --output short-monotonic --unit ima-snapshot-final \
		>/out/full.journal
	run full.take ima-snapshot take --json
	run full.verify ima-snapshot verify --tpm --json
	;;
*)
	cp -r "$store" /out/found
	start_systemd
	for service in $services ima-snapshot-final; do
		inside journalctl --quiet --no-pager --boot=-1 --output short-monotonic --unit "$service" \
			>"/out/$service.before"
	done
	inside journalctl --quiet --no-pager --boot --output cat IMA_EVENT=session_closed \
		IMA_EVENT=no_final_snapshot --output-fields IMA_EVENT >/out/closing
	measure after 1 100
	until_below 20
	copy_view "$view/violations"
	stop_services
	gather
	# The services run again, and leave the records to the final snapshot.
	limit 100000
	start_services
	load_part kexec
	measure carried 1 5000
	copy_kernel /out/end
	execute
	;;
esac
