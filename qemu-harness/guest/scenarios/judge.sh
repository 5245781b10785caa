#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Verify each of /judge/cases: a store, the kernel's list beside it, and the
# PCRs to which both should replay.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

for case in /judge/cases/*; do
	set --
	for bank in "$case"/pcrs/*; do
		set -- "$@" --pcrs "$bank"
	done
	run "${case##*/}" ima-snapshot verify --json --store "$case/store" --securityfs "$case/securityfs" "$@"
done
