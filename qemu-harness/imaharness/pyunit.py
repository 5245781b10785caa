# SPDX-License-Identifier: GPL-2.0-or-later
"""Run Python unittest directories and turn their outcome into a suite."""

from __future__ import annotations

import time
import unittest
from itertools import repeat
from pathlib import Path
from typing import Any

from . import process
from .report import Status, Suite


class _Collector(unittest.TestResult):
    """Records the outcome of each test with its sub-tests, and prints one line per test."""

    def __init__(self, suite: Suite, prefix: str) -> None:
        super().__init__()
        self._suite = suite
        self._prefix = prefix
        self._began = time.monotonic()
        self._problems: list[str] = []
        self._skip: str | None = None

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._began = time.monotonic()
        self._problems = []
        self._skip = None

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self._end(test.id())

    def _end(self, name: str) -> None:
        seconds = time.monotonic() - self._began
        name = name.removeprefix(self._prefix)
        if self._problems:
            self._suite.add(name, Status.FAIL, "\n".join(self._problems), seconds)
        elif self._skip is not None:
            self._suite.add(name, Status.SKIP, self._skip, seconds)
        else:
            self._suite.add(name, Status.PASS, "", seconds)
        case = self._suite.cases[-1]
        print(f"  {case.status.value}: {case.name} ({seconds:.1f} s)\n", end="", flush=True)
        self._began = time.monotonic()  # a class may be set up next

    def _problem(self, test: Any, err: Any) -> None:
        self._problems.append(self._exc_info_to_string(err, test))  # type: ignore[attr-defined]
        if not isinstance(test, unittest.TestCase):  # setUpClass or a module that cannot be imported
            self._end(str(test))
            self._problems = []

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._problem(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._problem(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._problems.append(f"{subtest}\n{self._exc_info_to_string(err, test)}")  # type: ignore[attr-defined]

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        if isinstance(test, unittest.TestCase):
            self._skip = reason
        else:
            self._suite.add(str(test), Status.SKIP, reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._problems.append("it was expected to fail")


def run(name: str, directory: Path, top: Path, pattern: str = "test_*.py") -> Suite:
    """Run the tests of DIRECTORY's files that match PATTERN; they import from TOP."""
    if not any(directory.glob(pattern)):
        suite = Suite(name)
        suite.add(name, Status.SKIP, f"{directory.name}/ has no tests")
        return suite
    tests = unittest.TestLoader().discover(str(directory), pattern, str(top))
    return collect(name, tests, ".".join(directory.relative_to(top).parts) + ".")


def run_files(name: str, directory: Path, top: Path, pattern: str = "test_*.py") -> Suite:
    """As run(), but with a process for each file, as many at a time as guests can run."""
    suite = Suite(name)
    began = time.monotonic()
    # The largest files first: the longest is then not the last one, alone.
    files = sorted(directory.glob(pattern), key=lambda file: -file.stat().st_size)
    with process.guest_pool() as pool:
        for part in pool.map(run, repeat(name), repeat(directory), repeat(top), [file.name for file in files]):
            suite.cases += part.cases
    suite.seconds = time.monotonic() - began
    return suite


def collect(name: str, tests: unittest.TestSuite, prefix: str) -> Suite:
    """Run TESTS; PREFIX is removed from their names."""
    suite = Suite(name)
    began = time.monotonic()
    tests.run(_Collector(suite, prefix))
    suite.seconds = time.monotonic() - began
    return suite
