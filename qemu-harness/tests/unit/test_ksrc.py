# SPDX-License-Identifier: GPL-2.0-or-later
"""The series is fitted to the user's kernel git tree, which stays as it was."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar
from unittest import mock

import support
from imaharness import bases, ksrc, paths, source
from imaharness.errors import HarnessError

BASE = bases.BASES["v7.3"]
IMA = ksrc.IMA
# Settings that a user may have, each of which would stop a commit or change a file.
HOSTILE = """\
[user]
	useConfigOnly = true
[commit]
	gpgSign = true
[gpg]
	program = /bin/false
[core]
	hooksPath = {hooks}
	autocrlf = true
[am]
	threeWay = false
[apply]
	whitespace = error
[gc]
	auto = 1
[diff]
	noprefix = true
"""


def body(count: int = 40) -> list[str]:
    return [f"line {n} of the file\n" for n in range(1, count + 1)]


def git(tree: Path, *arguments: str | Path) -> str:
    # Without maintenance in the background, which would change the trees that are compared.
    argv: list[str | Path] = ["git", "-C", tree, "-c", "maintenance.auto=false"]
    argv += ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    return subprocess.run([*argv, *arguments], check=True, capture_output=True, text=True).stdout


def commit(tree: Path, name: str, lines: list[str]) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text("".join(lines))
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", f"Change {name}")


def make_trees(top: Path) -> None:
    """A base, a series of two patches on it, and a clone of the base for the user to work in."""
    origin, patches = top / "origin", top / "kernel-patches" / BASE.name
    patches.mkdir(parents=True)
    (origin / IMA).mkdir(parents=True)
    git(origin, "init", "-q")
    (origin / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\nEXTRAVERSION =\n")
    (origin / "untouched").write_text("u\n")
    commit(origin, f"{IMA}/main.c", body())
    first = body()
    first[9] = "changed by the first patch\n"
    commit(origin, f"{IMA}/main.c", first)
    second = list(first)
    second[29] = "changed by the second patch\n"
    second.insert(10, "added next to the first\n")
    (origin / f"{IMA}/snapshot.c").write_text("new\n")
    commit(origin, f"{IMA}/main.c", second)
    git(origin, "format-patch", "-q", "-o", patches, "HEAD~2")
    git(top, "clone", "-q", origin, top / "linux")
    git(top / "linux", "reset", "-q", "--hard", "HEAD~2")


class Trees(support.TemporaryDirectory):
    """Each test has a copy of those trees and its own build directory."""

    model: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory(prefix="ima-test-")
        cls.addClassCleanup(directory.cleanup)
        cls.model = Path(directory.name)
        make_trees(cls.model)

    def setUp(self) -> None:
        super().setUp()
        shutil.copytree(self.model, self.tmp, dirs_exist_ok=True)
        self.patches = self.tmp / "kernel-patches" / BASE.name
        self.origin = self.tmp / "origin"
        self.tree = self.tmp / "linux"
        for name, value in (("KERNELS", self.tmp / "build/kernel"), ("ROOT", self.tmp)):
            patcher = mock.patch.object(paths, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.said = io.StringIO()
        self.enterContext(contextlib.redirect_stderr(self.said))

    def edit(self, line: int, text: str) -> None:
        """Commit a new text for one line (from 1) of the user's main.c."""
        lines = (self.tree / f"{IMA}/main.c").read_text().splitlines(keepends=True)
        lines[line - 1] = text
        commit(self.tree, f"{IMA}/main.c", lines)

    def series(self, tree: Path | None = None) -> Path:
        """The tree with the series applied, as a build makes it."""
        origin = source.find(BASE, tree or self.tree)
        plain = source.plain_tree(BASE, origin)
        return source.series_tree(BASE, plain, source.fitted(BASE, origin))

    def refused(self, tree: Path | None = None) -> str:
        with self.assertRaises(HarnessError) as raised:
            self.series(tree)
        return str(raised.exception)

    def snapshot(self, tree: Path | None = None) -> dict[str, str]:
        """Every file of the user's tree and repository, with its contents and time.

        Instead of writing an object that exists, git updates its time, also in a
        repository from which it borrows.
        """
        found = {}
        for file in (tree or self.tree).rglob("*"):
            if file.is_file():
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                borrowed = ".git/objects/" in str(file)
                found[str(file)] = digest if borrowed else f"{digest} {file.stat().st_mtime_ns}"
            else:
                found[str(file)] = "directory"
        return found


class Fitting(Trees):
    def test_a_tree_at_the_base_gets_the_series(self) -> None:
        tree = self.series()
        self.assertEqual((tree / f"{IMA}/main.c").read_text(), (self.origin / f"{IMA}/main.c").read_text())
        self.assertEqual((tree / f"{IMA}/snapshot.c").read_text(), "new\n")
        self.assertFalse((tree / ".git").exists())

    def test_a_dirty_tree_is_used_at_its_head_and_stays_as_it_was(self) -> None:
        (self.tree / f"{IMA}/main.c").write_text("not committed\n")
        (self.tree / "staged").write_text("in the index alone\n")
        git(self.tree, "add", "staged")
        (self.tree / "untracked").write_text("x")
        before = self.snapshot()
        tree = self.series()
        self.assertEqual(self.snapshot(), before)
        self.assertEqual((tree / f"{IMA}/main.c").read_text(), (self.origin / f"{IMA}/main.c").read_text())
        self.assertFalse((tree / "untracked").exists() or (tree / "staged").exists())
        self.assertIn("uncommitted changes", self.said.getvalue())

    def test_a_context_that_moved_needs_the_merge(self) -> None:
        self.edit(12, "the user changed the context\n")
        plain = source.plain_tree(BASE, source.find(BASE, self.tree))
        with self.assertRaisesRegex(HarnessError, "0001-.* does not apply"):
            source.series_tree(BASE, plain, source.patches(BASE))
        text = (self.series() / f"{IMA}/main.c").read_text()
        self.assertIn("changed by the first patch\nadded next to the first\n", text)
        self.assertIn("the user changed the context\n", text)
        self.assertIn("changed by the second patch\n", text)

    def test_the_version_before_a_later_patch_is_not_in_the_users_repository(self) -> None:
        """Only the harness's repository has what a 3-way merge of the second patch needs."""
        self.edit(32, "the user changed the context of the second patch\n")
        git(self.tree, "remote", "remove", "origin")
        git(self.tree, "reflog", "expire", "--expire=now", "--all")
        git(self.tree, "gc", "-q", "--prune=now")
        self.assertIn("changed by the second patch\n", (self.series() / f"{IMA}/main.c").read_text())

    def test_a_conflict_names_patch_file_and_hunk_and_leaves_nothing(self) -> None:
        self.edit(30, "the user changed the line\n")
        before = self.snapshot()
        said = self.refused()
        self.assertRegex(said, r"^0002-\S+\.patch does not apply to \S+/linux at [0-9a-f]{12}:\n")
        self.assertIn(f"{IMA}/main.c: hunk 2 (@@ -27,7 +28,7 @@", said)
        self.assertNotIn("hunk 1", said)
        self.assertEqual(self.snapshot(), before)
        kernels = paths.KERNELS / BASE.name
        left = {f.name for f in kernels.iterdir()}
        self.assertEqual(left, {"plain", "series", "source", "fitted.lock"})
        self.assertEqual(list((kernels / "series").iterdir()), [])
        self.assertEqual(self.refused(), said)

    def test_a_resolved_conflict_is_taken_up(self) -> None:
        self.edit(30, "the user changed the line\n")
        self.refused()
        self.edit(30, "line 30 of the file\n")
        self.assertIn("changed by the second patch\n", (self.series() / f"{IMA}/main.c").read_text())

    def test_a_file_that_the_tree_lacks_is_named(self) -> None:
        git(self.tree, "rm", "-q", f"{IMA}/main.c")
        commit(self.tree, f"{IMA}/Kconfig", ["config IMA\n"])
        said = self.refused()
        self.assertIn("0001-", said)
        self.assertIn(f"{IMA}/main.c: the tree has no such file", said)

    def test_a_patch_that_the_tree_has_is_left_out_and_named(self) -> None:
        name = sorted(p.name for p in self.patches.iterdir())[0]
        git(self.tree, "am", "-q", self.patches / name)
        tree = self.series()
        self.assertIn("changed by the second patch\n", (tree / f"{IMA}/main.c").read_text())
        self.assertIn(f"already has {name}", self.said.getvalue())

    def test_the_users_settings_and_environment_do_not_matter(self) -> None:
        hooks = self.tmp / "hooks"
        hooks.mkdir()
        for name in ("applypatch-msg", "pre-applypatch", "post-applypatch", "commit-msg", "post-checkout",
                     "post-index-change", "reference-transaction"):  # fmt: skip
            (hooks / name).write_text(f"#!/bin/sh\ntouch {self.tmp}/ran\nexit 1\n")
            (hooks / name).chmod(0o755)
        config = self.tmp / "gitconfig"
        config.write_text(HOSTILE.format(hooks=hooks))
        with (self.tree / ".git/config").open("a") as own:
            own.write(config.read_text())
        before = self.snapshot()
        hostile = {
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_DIR": str(self.origin / ".git"),
            "GIT_WORK_TREE": str(self.origin),
            "GIT_INDEX_FILE": str(self.tmp / "index"),
            "GIT_AUTHOR_DATE": "nonsense",
        }
        with mock.patch.dict(os.environ, hostile):
            tree = self.series()
        self.assertEqual((tree / f"{IMA}/main.c").read_bytes(), (self.origin / f"{IMA}/main.c").read_bytes())
        self.assertEqual(self.snapshot(), before)
        self.assertFalse((self.tmp / "ran").exists())

    def test_nothing_is_left_in_the_repository_when_the_build_is_deleted(self) -> None:
        before = self.snapshot()
        self.series()
        shutil.rmtree(self.tmp / "build")
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(git(self.tree, "worktree", "list").count("\n"), 1)
        self.assertIn("changed by the second", (self.series() / f"{IMA}/main.c").read_text())

    def test_a_later_commit_is_taken_up(self) -> None:
        self.series()
        self.edit(1, "a later commit\n")
        self.assertTrue((self.series() / f"{IMA}/main.c").read_text().startswith("a later commit\n"))

    def test_another_version_is_a_note(self) -> None:
        self.series()
        self.assertNotIn("is Linux", self.said.getvalue())
        commit(self.tree, "Makefile", ["VERSION = 7\n", "PATCHLEVEL = 4\n", "SUBLEVEL = 0\n", "EXTRAVERSION = -rc2\n"])
        self.series()
        self.assertIn("is Linux 7.4.0-rc2; the series was made for 7.3", self.said.getvalue())


class Kinds(Trees):
    """Trees of other kinds: each works, or is refused with a message."""

    def assert_works(self, tree: Path) -> None:
        self.assertIn("changed by the second", (self.series(tree) / f"{IMA}/main.c").read_text())

    def test_a_bare_repository(self) -> None:
        git(self.tmp, "clone", "-q", "--bare", self.tree, self.tmp / "bare.git")
        self.assert_works(self.tmp / "bare.git")

    def test_a_linked_worktree(self) -> None:
        git(self.tree, "worktree", "add", "-q", "--detach", self.tmp / "linked")
        self.assert_works(self.tmp / "linked")

    def test_a_clone_that_borrows_objects(self) -> None:
        git(self.tmp, "clone", "-q", "--shared", self.tree, self.tmp / "shared")
        self.assert_works(self.tmp / "shared")

    def test_a_name_with_spaces_and_quotes(self) -> None:
        self.assert_works(self.tree.rename(self.tmp / 'my "own" linux \\ tree'))

    def test_a_relative_name(self) -> None:
        here = Path.cwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.tmp)
        self.assert_works(Path("linux"))

    def test_a_name_in_the_home_directory(self) -> None:
        with mock.patch.dict(os.environ, {"HOME": str(self.tmp)}):
            self.assert_works(Path("~/linux"))

    def test_a_shallow_clone_without_the_base_applies_what_needs_no_merge(self) -> None:
        self.edit(1, "far from the patches\n")
        git(self.tmp, "clone", "-q", "--depth=1", f"file://{self.tree}", self.tmp / "shallow")
        self.assert_works(self.tmp / "shallow")

    def test_the_error_for_a_shallow_clone_that_needs_a_merge_names_what_to_fetch(self) -> None:
        self.edit(12, "the user changed the context\n")
        git(self.tmp, "clone", "-q", "--depth=1", f"file://{self.tree}", self.tmp / "shallow")
        said = self.refused(self.tmp / "shallow")
        self.assertIn(f"{IMA}/main.c: hunk 1 (@@ -7,7 +7,7 @@", said)
        self.assertIn("fetch --unshallow", said)

    def test_the_error_for_a_partial_clone_names_what_to_fetch(self) -> None:
        git(self.origin, "config", "uploadpack.allowFilter", "true")
        partial = self.tmp / "partial"
        git(self.tmp, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{self.origin}", partial)
        self.assertIn("git fetch --refetch --no-filter", self.refused(partial))

    def test_what_is_no_kernel_tree_is_refused_in_words(self) -> None:
        other, empty, unborn = self.tmp / "other", self.tmp / "empty", self.tmp / "unborn"
        for directory in (other, empty, unborn):
            directory.mkdir()
        for directory in (other, unborn):
            git(directory, "init", "-q")
        commit(other, "file", ["no kernel\n"])
        for tree, words in (
            (self.tmp / "nowhere", "nowhere: no such directory"),
            (self.tree / "Makefile", "Makefile: no such directory"),
            (empty, "is not a git tree"),
            (unborn, "has no commit checked out"),
            (other, f"its HEAD has no {IMA}"),
        ):
            with self.subTest(tree.name):
                self.assertIn(words, self.refused(tree))
                self.assertFalse((paths.KERNELS / BASE.name / "plain").exists())


class Hunks(support.TemporaryDirectory):
    def test_each_is_numbered_in_its_file(self) -> None:
        text = (
            "Subject: x\n\n---\ndiff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n"
            "@@ -1,2 +1,2 @@ first\n-a\n+b\n c\n@@ -9 +9,2 @@\n--- a/removed\n+++ b/added\n+more\n"
            "diff --git a/g b/g\nnew file mode 100644\n--- /dev/null\n+++ b/g\n@@ -0,0 +1 @@\n+x\n"
        )
        found = ksrc.hunks(text)
        self.assertEqual([(h.file, h.number, h.start) for h in found], [("f", 1, 1), ("f", 2, 9), ("g", 1, 1)])
        self.assertEqual((found[0].old, found[0].new), (["a\n", "c\n"], ["b\n", "c\n"]))
        self.assertEqual((found[1].old, found[1].new), (["-- a/removed\n"], ["++ b/added\n", "more\n"]))
        self.assertEqual(str(found[0]), "f: hunk 1 (@@ -1,2 +1,2 @@ first)")

    def test_the_blobs_before_a_patch(self) -> None:
        text = (
            "diff --git a/f b/f\nindex 111..222 100755\n--- a/f\n+++ b/f\n"
            "diff --git a/g b/g\ndeleted file mode 100644\nindex 333..000\n"
            "diff --git a/h b/h\nnew file mode 100644\nindex 000..444\n"
        )
        self.assertEqual(ksrc.old_blobs(text), {"f": ("111", "100755"), "g": ("333", "100644")})


if __name__ == "__main__":
    unittest.main()
