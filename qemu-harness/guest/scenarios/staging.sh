#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# On a kernel that has staging and no snapshot file: snapshots under load,
# records that another process left staged, snapshots that are killed, a reader
# that blocks one.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

configure /disk/store
prepare_load
run status ima-snapshot status --json
run mark ima-snapshot take --mark --json

begin_load
for snapshot in 1 2 3; do
	grow 200
	begin=$(now)
	run "take$snapshot" ima-snapshot take --json
	span=$((($(now) - begin) * 10000))
done

# Another process stages records and dies before it saves them.
grow 50
echo A >"$ima/binary_runtime_measurements_staged"
grow 20
run status-staged ima-snapshot status --json
run left ima-snapshot take --json

kill_snapshots 12 "$span"
run after ima-snapshot take
end_load
run last ima-snapshot take

measure held 1 20
copy_kernel /out/held.before
find /disk/store >/out/held.store-before
exec 6<"$ima/ascii_runtime_measurements"
run held ima-snapshot take --json
run held-cat ima-snapshot cat
find /disk/store >/out/held.store-after
copy_kernel /out/held.after
exec 6<&-
run released ima-snapshot take --json
measure end 1 20
run show-live ima-snapshot show live --json
gather
