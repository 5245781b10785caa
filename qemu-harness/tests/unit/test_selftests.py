# SPDX-License-Identifier: GPL-2.0-or-later
"""How the build of the selftests is judged."""

from __future__ import annotations

import shutil
import unittest
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import support
from imaharness import given, paths, process, selftests
from imaharness.bases import DEFAULT_BASE, find_base
from imaharness.errors import HarnessError
from imaharness.guest import GuestResult, Outcome
from imaharness.report import Status, Suite

WARNS = "  CC       lists_test\nlists_test.c:9:2: warning: ignoring return value of 'write'\n1 warning generated.\n"
CLEAN = "make: Entering directory 'ima'\n  CC       lists_test\n"


class BuiltAsMailed(support.TemporaryDirectory):
    """make and the compilers are stand-ins."""

    def judge(self, printed: dict[str, str | None], installed: Sequence[str] = ("gcc", "clang")) -> Suite:
        """The result if make prints this with gcc and with clang; it fails if that is None."""

        def make(argv: list[str], *, log: Path) -> None:
            text = printed["clang" if "LLVM=1" in argv else "gcc"]
            if text is None:
                raise HarnessError("make failed")
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(text)

        base = find_base(DEFAULT_BASE)
        with (
            mock.patch.object(paths, "KERNELS", self.tmp),
            mock.patch.object(selftests, "_INSTALLED", self.tmp / "kselftest"),
            mock.patch.object(selftests, "_placed", lambda base, ksrc: self.tmp / "selftests" / "ima"),
            mock.patch.object(process, "logged", make),
            mock.patch.object(shutil, "which", lambda name: name if name in installed else None),
        ):
            return selftests.compile_as_mailed(base)

    def statuses(self, suite: Suite) -> list[Status]:
        return [case.status for case in suite.cases]

    def test_no_warning_passes(self) -> None:
        self.assertEqual(self.statuses(self.judge({"gcc": CLEAN, "clang": CLEAN})), [Status.PASS, Status.PASS])

    def test_a_warning_of_either_compiler_fails(self) -> None:
        self.assertEqual(self.statuses(self.judge({"gcc": WARNS, "clang": CLEAN})), [Status.FAIL, Status.PASS])
        suite = self.judge({"gcc": CLEAN, "clang": WARNS})
        self.assertEqual(self.statuses(suite), [Status.PASS, Status.FAIL])
        self.assertEqual(suite.cases[1].detail, "lists_test.c:9:2: warning: ignoring return value of 'write'")

    def test_a_failed_build_fails(self) -> None:
        self.assertEqual(self.statuses(self.judge({"gcc": None, "clang": CLEAN})), [Status.FAIL, Status.PASS])

    def test_a_compiler_that_is_not_there_is_skipped(self) -> None:
        suite = self.judge({"gcc": CLEAN}, installed=["gcc"])
        self.assertEqual(self.statuses(suite), [Status.PASS, Status.SKIP])
        self.assertEqual(suite.cases[1].detail, "clang is not installed")


class RunAsInstalled(support.TemporaryDirectory):
    """The guest is a stand-in that leaves what the runner printed."""

    def result(self, status: int, printed: str) -> list[tuple[str, Status]]:
        (self.tmp / "kselftest.ktap").write_text(printed)
        ended = GuestResult(Outcome.EXITED, status, [], b"", b"", self.tmp, self.tmp, 1.0)
        with (
            mock.patch.object(selftests, "_INSTALLED", self.tmp),
            mock.patch.object(given, "image", return_value=None),
            mock.patch.object(selftests, "run_guest", return_value=ended) as self.guest,
        ):
            suite = selftests.run_installed(find_base(DEFAULT_BASE))
        return [(case.name, case.status) for case in suite.cases]

    def install(self) -> None:
        (self.tmp / "gcc").mkdir()
        (self.tmp / "gcc/kselftest-list.txt").write_text("ima:a_test\nima:b_test\n")

    def test_the_tests_and_the_status_count(self) -> None:
        self.install()
        printed = "TAP version 13\n1..1\n# TAP version 13\n# 1..1\n# {} 1 f.works\n{} 1 selftests: ima: a_test\n"
        name = "selftests: ima: a_test.f.works"
        for status, word in ((0, "ok"), (1, "not ok")):
            expected = Status.FAIL if status else Status.PASS
            found = self.result(status, printed.format(word, word))
            self.assertEqual(found, [(name, expected), ("run_kselftest.sh", expected)])
        spec = self.guest.call_args.args[0]
        self.assertEqual([(c.source, c.dest) for c in spec.copies], [(self.tmp / "gcc", "/kselftest")])

    def test_a_runner_that_prints_nothing_fails(self) -> None:
        self.install()
        self.assertIn(("complete-1", Status.FAIL), self.result(0, ""))

    def test_nothing_installed_fails(self) -> None:
        self.assertEqual([status for _, status in self.result(0, "")], [Status.FAIL])


if __name__ == "__main__":
    unittest.main()
