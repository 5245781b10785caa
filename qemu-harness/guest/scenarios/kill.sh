#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Kill KILLS snapshots under load, at points spread over the time that one takes.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

configure /disk/store
prepare_load
begin_load
grow 200
begin=$(now)
run whole ima-snapshot take
kill_snapshots "${KILLS:?}" $((($(now) - begin) * 10000))
run after ima-snapshot take
end_load
run last ima-snapshot take
gather
