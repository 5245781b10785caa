# SPDX-License-Identifier: GPL-2.0-or-later
"""A base whose source nothing has: its suites are skipped, and those of another base run."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import support
from imaharness import bases, check, given, paths, pyunit, selftests, source, userspace
from imaharness.errors import HarnessError
from imaharness.report import Status, Suite

GONE = bases.Base("v7.3", "9.9.1", ("no-such-suite",))
LTS = bases.BASES["v6.12"]


class Vanished(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        clean = {k: v for k, v in os.environ.items() if k not in ("BASE", "KSRC", "KERNEL")}
        self.enterContext(mock.patch.dict(os.environ, clean, clear=True))
        source.reason_without.cache_clear()
        self.addCleanup(source.reason_without.cache_clear)
        self.enterContext(mock.patch.object(paths, "RESULTS", self.tmp))
        self.enterContext(mock.patch.object(source, "_in_downloads", side_effect=self.kept))
        for fetch in ("_from_debian", "_from_kernel_org"):
            self.enterContext(mock.patch.object(source, fetch, side_effect=HarnessError("404")))
        self.enterContext(mock.patch.object(check, "find_base", return_value=GONE))
        self.enterContext(mock.patch.object(given, "image", return_value=None))
        self.enterContext(mock.patch.object(userspace, "build"))
        self.ran: list[str] = []
        self.enterContext(mock.patch.object(selftests, "run_some", side_effect=self.selftests))
        self.enterContext(mock.patch.object(pyunit, "run", side_effect=self.e2e))
        self.file = self.tmp / "linux-6.12.117.tar.xz"

    def kept(self, base: bases.Base) -> Path | None:
        return self.file if base is LTS and self.file.exists() else None

    def selftests(self, base: bases.Base) -> list[Suite]:
        self.ran.append(base.name)
        return [self.passed("selftests-tpm2")]

    def e2e(self, name: str, *_: object) -> Suite:
        self.ran.append(os.environ["BASE"])
        return self.passed(name)

    def passed(self, name: str) -> Suite:
        suite = Suite(name)
        suite.add("a test", Status.PASS)
        return suite

    def check(self, suites: Sequence[str] = ("kernel", "kunit", "selftests", "e2e", "other-bases")) -> tuple[int, str]:
        with mock.patch.object(check, "BASES", {"v7.3": GONE, "v6.12": LTS}), contextlib.redirect_stdout(io.StringIO()) as out:
            status = check.main(suites)
        return status, out.getvalue()

    def test_the_other_base_is_tested(self) -> None:
        self.file.touch()
        status, text = self.check()
        self.assertEqual(status, 0, text)
        self.assertEqual(self.ran, ["v6.12", "v6.12"])
        for suite in ("kernel", "kunit", "selftests", "e2e"):
            self.assertIn(f"\n{suite}: 0 passed, 0 failed, 1 skipped", text)
        self.assertIn("\nv6.12-e2e: 1 passed, 0 failed, 0 skipped", text)

    def test_without_any_base_the_run_fails(self) -> None:
        status, text = self.check()
        self.assertEqual((status, self.ran), (1, []))
        self.assertIn("\nsources: 0 passed, 1 failed, 0 skipped", text)

    def test_a_slow_machine_leaves_it_out_and_reports_that(self) -> None:
        self.file.touch()
        suites = {"lint": (lambda base, ksrc: [self.passed("lint")], False), "other-bases": check.SUITES["other-bases"]}
        cases: list[tuple[int, list[str], bool]] = [(3599, [], True), (3601, [], False), (3601, ["other-bases"], True)]
        with mock.patch.object(check, "SUITES", suites):
            for seconds, asked, runs in cases:
                self.ran.clear()
                with mock.patch("time.monotonic", side_effect=itertools.chain([0], itertools.repeat(seconds))):
                    status, text = self.check(asked)
                self.assertEqual((status, bool(self.ran)), (0, runs), text)
                if not runs:
                    self.assertIn("\nother-bases: 0 passed, 0 failed, 1 skipped", text)
