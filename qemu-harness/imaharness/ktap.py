# SPDX-License-Identifier: GPL-2.0-or-later
"""Parse KTAP, the kernel's dialect of TAP (Documentation/dev-tools/ktap.rst).

Nested results are indented, as in KUnit and current kselftests, or have the '# '
prefix of old kselftest runners. Other text is diagnostics of the test that follows
it. What a crash leaves is reported as a problem: fewer results than planned, a
nested test that never ended, no results at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .report import Status, Suite

_VERSION = re.compile(r"(?:KTAP|TAP) version \d+")
_PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*(?i:skip)\S*\s*(.*))?")
_RESULT = re.compile(r"(ok|not ok)(?:\s+(\d+))?(?:\s*-)?\s*(.*)")
_DIRECTIVE = re.compile(r"^(.*?)\s*(?:^|\s)#\s*(skip|todo|timeout|error|xfail)\b[:\s]*(.*)$", re.IGNORECASE)
_BAIL_OUT = re.compile(r"Bail out!\s*(.*)", re.IGNORECASE)
# KUnit's console lines: "[    1.234567] " or "<6>[...]" in front.
_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")


@dataclass
class Result:
    """One result line and the results nested in it."""

    name: str
    status: Status
    detail: str = ""
    nested: list[Result] = field(default_factory=list)


@dataclass
class _Level:
    depth: int
    planned: int | None = None
    results: list[Result] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    nested: _Level | None = None  # ended, waiting for its parent's result line


class Document:
    """The output of one run: its results, and the problems of the output as a whole."""

    def __init__(self, text: str) -> None:
        self.problems: list[str] = []
        self._levels = [_Level(0)]
        self._seen = False
        for line in text.splitlines():
            self._line(_STAMP.sub("", line).rstrip())
        while len(self._levels) > 1:
            inner = self._levels[-1]
            unfinished = inner.results[-1].name if inner.results else "its first test"
            self.problems.append(f"a nested test never ended (last seen: {unfinished})")
            self._close_level()
            self._levels[-1].results += inner.results
            self._levels[-1].nested = None
        self._check_plan(self._levels[0])
        if not self._seen:
            self.problems.append("no test results")
        self.results = self._levels[0].results

    def _line(self, line: str) -> None:
        stripped = line.lstrip(" ")
        depth = len(line) - len(stripped)
        while stripped.startswith("# ") and self._is_ktap(stripped[2:].lstrip(" ")):
            depth += 2
            stripped = stripped[2:].lstrip(" ")
        if not self._is_ktap(stripped):
            if stripped:
                self._levels[-1].comments.append(stripped.removeprefix("# "))
            return
        self._enter(depth)
        level = self._levels[-1]
        if found := _PLAN.fullmatch(stripped):
            self._seen = True
            level.planned = int(found.group(1))
            if level.planned == 0:
                reason = found.group(2) or "nothing to test"
                level.results.append(Result("all", Status.SKIP, reason))
                level.planned = 1
        elif found := _BAIL_OUT.match(stripped):
            self.problems.append(f"bailed out: {found.group(1)}")
        elif found := _RESULT.fullmatch(stripped):
            self._seen = True
            self._result(level, *found.groups())

    @staticmethod
    def _is_ktap(text: str) -> bool:
        return bool(
            _VERSION.fullmatch(text)
            or _PLAN.fullmatch(text)
            or _BAIL_OUT.match(text)
            or re.match(r"(ok|not ok)\s+\d+\b", text)
        )

    def _enter(self, depth: int) -> None:
        """Make DEPTH the current level: open a deeper one, or close levels down to it."""
        while len(self._levels) > 1 and depth < self._levels[-1].depth:
            self._close_level()
        if depth > self._levels[-1].depth:
            self._levels.append(_Level(depth))

    def _close_level(self) -> None:
        level = self._levels.pop()
        self._check_plan(level)
        parent = self._levels[-1]
        parent.nested = level
        parent.comments += level.comments

    def _check_plan(self, level: _Level) -> None:
        if level.planned is not None and len(level.results) != level.planned:
            last = level.results[-1].name if level.results else "nothing"
            self.problems.append(
                f"{level.planned} tests planned, {len(level.results)} results (last: {last})"
            )

    def _result(self, level: _Level, verdict: str, number: str | None, rest: str) -> None:
        name, directive, why = rest, "", ""
        if found := _DIRECTIVE.match(rest):
            name, directive, why = found.group(1), found.group(2).lower(), found.group(3)
        status = Status.PASS if verdict == "ok" else Status.FAIL
        if directive in ("skip", "todo", "xfail"):
            status = Status.SKIP
        expected = len(level.results) + 1
        if number is not None and int(number) != expected:
            self.problems.append(f"test {expected} is numbered {number} ({name.strip()})")
        detail = "\n".join(filter(None, [f"{directive}: {why}" if status is Status.FAIL and directive else why,
                                         *level.comments]))  # fmt: skip
        nested = level.nested.results if level.nested is not None else []
        level.results.append(Result(name.strip("- ") or f"test {expected}", status, detail, nested))
        level.nested = None
        level.comments = []

    def add_to(self, suite: Suite, prefix: str = "") -> None:
        """Add the innermost results to SUITE as 'outer.inner', and each problem as a failed test."""
        for result in self.results:
            _flatten(result, prefix, suite)
        for number, problem in enumerate(self.problems, 1):
            suite.add(f"{prefix}complete-{number}", Status.FAIL, problem)


def _flatten(result: Result, prefix: str, suite: Suite) -> None:
    name = prefix + result.name
    if not result.nested:
        suite.add(name, result.status, result.detail)
        return
    for inner in result.nested:
        _flatten(inner, name + ".", suite)
    if result.status is Status.FAIL and not any(_failed(inner) for inner in result.nested):
        suite.add(name, Status.FAIL, result.detail or "failed, though everything in it passed")


def _failed(result: Result) -> bool:
    return result.status is Status.FAIL or any(_failed(inner) for inner in result.nested)
