# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the kernel-* scripts and series; source it after 'set -euo pipefail'.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${IMA_BUILD_DIR:-$root/build}
base=${BASE:-v7.3}
series=$root/kernel-patches/$base
tree=$build/ktree/$base
# The commit at which the tree and the patch files last agreed.
applied=refs/ima/applied

# The same committer on every machine; the patches keep their authors.
export GIT_COMMITTER_NAME='IMA Log Snapshot'
export GIT_COMMITTER_EMAIL='ima-log-snapshot@example.org'

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

in_tree() {
	git -C "$tree" -c commit.gpgSign=false -c core.hooksPath=/dev/null -c core.autocrlf=false \
		-c core.abbrev=12 -c maintenance.auto=false "$@"
}

need_tree() {
	[[ -d $tree/.git ]] || die "no tree at $tree; run scripts/kernel-tree first"
}

need_clean_tree() {
	[[ ! -d $tree/.git/rebase-apply && ! -d $tree/.git/rebase-merge ]] ||
		die "a rebase or 'git am' is under way in $tree"
	[[ -z $(in_tree status --porcelain --untracked-files=no) ]] ||
		die "$tree has uncommitted changes"
}
