# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisecting the series, with fake builds and guests."""

from __future__ import annotations

import contextlib
import io
import unittest
from pathlib import Path
from unittest import mock

import support
from imaharness import bases, bisect, kernel, paths, process
from imaharness.errors import EXIT_HARNESS, HarnessError
from imaharness.guest import GuestResult, GuestSpec, Outcome

BASE = bases.BASES["v7.3"]


class Bisect(support.TemporaryDirectory):
    """A series of four patches, each of which appends a line to one file."""

    def setUp(self) -> None:
        super().setUp()
        for name, value in (("KERNELS", self.tmp / "kernel"), ("DOWNLOADS", self.tmp / "downloads"), ("ROOT", self.tmp)):
            self.enterContext(mock.patch.object(paths, name, value))
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        tree = self.tmp / "tree"
        (tree / "security/integrity/ima").mkdir(parents=True)
        (tree / "f").write_text("0\n")
        paths.DOWNLOADS.mkdir()
        process.output(["tar", "-C", self.tmp, "-cJf", paths.DOWNLOADS / "linux-7.3.4.tar.xz", "tree"])
        patches = self.tmp / "kernel-patches" / BASE.name
        patches.mkdir(parents=True)
        for number in range(1, 5):
            before = "".join(f" {n}\n" for n in range(number))
            (patches / f"000{number}-p.patch").write_text(
                f"--- a/f\n+++ b/f\n@@ -1,{number} +1,{number + 1} @@\n{before}+{number}\n"
            )
        self.patches = patches
        self.built: list[int] = []  # the number of patches that each build had
        self.booted: list[GuestSpec] = []
        self.does_not_build: set[int] = set()
        self.does_not_boot: set[int] = set()
        self.fails: set[int] = set()
        self.enterContext(mock.patch.object(kernel, "build"))
        self.enterContext(mock.patch.object(kernel, "copy_objects", side_effect=lambda origin, obj: obj.mkdir()))
        self.enterContext(mock.patch.object(kernel, "merge"))
        self.enterContext(mock.patch.object(kernel, "unmet", return_value=[]))
        self.enterContext(mock.patch.object(kernel, "make", side_effect=self.make))
        self.enterContext(mock.patch.object(bisect, "run_guest", side_effect=self.boot))

    def state(self) -> int:
        lines = (paths.KERNELS / BASE.name / "check/src/f").read_text().splitlines()
        self.assertEqual(lines, [str(n) for n in range(len(lines))])
        return len(lines) - 1

    def make(self, tree: Path, obj: Path, targets: list[str], log: Path) -> None:
        self.assertEqual(targets, ["bzImage"])
        self.built.append(self.state())
        if self.state() in self.does_not_build:
            raise HarnessError("cc says no")

    def boot(self, spec: GuestSpec) -> GuestResult:
        self.booted.append(spec)
        state = self.state()
        if state in self.does_not_boot:
            return GuestResult(Outcome.DIED, None, [], b"", b"", self.tmp, self.tmp, 1.0)
        return GuestResult(Outcome.EXITED, 3 if state in self.fails else 0, [], b"", b"", self.tmp, self.tmp, 1.0)

    def bisect(self, *argv: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = bisect.main(["--base", BASE.name, *argv])
        return status, said.getvalue().splitlines()[-1] if said.getvalue() else ""

    def test_all_good_is_each_state_in_order_the_plain_kernel_first(self) -> None:
        self.assertEqual(self.bisect(), (0, "bisect-series: all are good"))
        self.assertEqual(self.built, [0, 1, 2, 3, 4])
        self.assertEqual(len(self.booted), 5)

    def test_each_way_to_fail_names_the_patch_and_ends_there(self) -> None:
        for name, words in (
            ("does_not_build", "it does not build: cc says no"),
            ("does_not_boot", "the guest fails: the guest ended without reporting"),
            ("fails", "the command exits with 3"),
        ):
            with self.subTest(name):
                self.built.clear()
                setattr(self, name, {3, 4})
                status, last = self.bisect()
                self.assertEqual(status, 1)
                self.assertTrue(last.startswith(f"bisect-series: the first bad patch is 0003-p.patch: {words}"), last)
                self.assertEqual(self.built, [0, 1, 2, 3])
                setattr(self, name, set())

    def test_a_patch_that_does_not_apply(self) -> None:
        (self.patches / "0002-p.patch").write_text("--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n x\n y\n+2\n")
        status, last = self.bisect()
        self.assertEqual(status, 1)
        self.assertIn("the first bad patch is 0002-p.patch: 0002-p.patch does not apply", last)
        self.assertEqual(self.built, [0, 1])

    def test_a_plain_kernel_that_fails_is_no_patchs_fault(self) -> None:
        self.fails = {0, 1}
        status, last = self.bisect()
        self.assertEqual(status, 1)
        self.assertTrue(last.startswith("bisect-series: the kernel without the series fails:"), last)

    def test_from_builds_nothing_before(self) -> None:
        self.fails = {1, 4}
        status, last = self.bisect("--from", "3")
        self.assertEqual((status, self.built), (1, [3, 4]))
        self.assertIn("0004-p.patch", last)

    def test_the_command_runs_in_the_guest(self) -> None:
        self.bisect("--from", "4", "--", "sh", "-c", "exit 3")
        self.assertEqual(self.booted[0].command, ["sh", "-c", "exit 3"])
        self.bisect("--from", "4")
        self.assertEqual(self.booted[1].command, ["sh", "/scenarios/quick.sh"])
        self.assertEqual([copy.source.is_file() for copy in self.booted[1].copies], [True])

    def test_what_makes_no_sense_is_no_bad_patch(self) -> None:
        for argv in (["--from", "5"], ["--base", "v6.12"], ["--ksrc", "/nonexistent"], ["--base", "v1"]):
            with self.subTest(argv):
                self.assertEqual(self.bisect(*argv)[0], EXIT_HARNESS)
        self.assertEqual(self.built, [])


if __name__ == "__main__":
    unittest.main()
