# SPDX-License-Identifier: GPL-2.0-or-later
"""Test results in one form for every suite, written as KTAP and as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Status(Enum):
    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


@dataclass
class TestCase:
    """One test: its name, how it ended, and why if it did not pass."""

    __test__ = False  # not a test, despite its name

    name: str
    status: Status
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Suite:
    """The tests of one suite in the order they ran."""

    name: str
    cases: list[TestCase] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, status: Status) -> int:
        return sum(case.status is status for case in self.cases)

    def add(self, name: str, status: Status, detail: str = "", seconds: float = 0.0) -> None:
        self.cases.append(TestCase(name, status, detail, seconds))


def closing_line(suites: Sequence[Suite]) -> str:
    """The last line of 'make check'."""
    passed, failed, skipped = (sum(s.count(status) for s in suites) for status in Status)
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def failed(suites: Sequence[Suite]) -> bool:
    """Whether a test failed or none passed."""
    return any(s.count(Status.FAIL) for s in suites) or not any(
        s.count(Status.PASS) for s in suites
    )


def _comment(text: str, indent: str) -> Iterable[str]:
    return (f"{indent}# {line}" for line in text.splitlines())


def to_ktap(suites: Sequence[Suite]) -> str:
    """KTAP with one nested plan per suite (Documentation/dev-tools/ktap.rst)."""
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for number, suite in enumerate(suites, 1):
        lines += ["  KTAP version 1", f"  1..{len(suite.cases)}"]
        for case_number, case in enumerate(suite.cases, 1):
            verdict = "not ok" if case.status is Status.FAIL else "ok"
            reason = case.detail.partition("\n")[0]
            skip = f" # SKIP {reason}" if case.status is Status.SKIP else ""
            if case.status is Status.FAIL:
                lines += _comment(case.detail, "  ")
            lines.append(f"  {verdict} {case_number} {case.name}{skip}")
        verdict = "not ok" if suite.count(Status.FAIL) else "ok"
        skip = " # SKIP" if suite.cases and suite.count(Status.SKIP) == len(suite.cases) else ""
        lines.append(f"{verdict} {number} {suite.name}{skip}")
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    """TEXT without the characters that XML 1.0 cannot hold."""
    return "".join(c if c in "\t\n" or " " <= c < "\ufffe" and not "\ud800" <= c <= "\udfff" else "?" for c in text)


def to_junit(suites: Sequence[Suite]) -> bytes:
    """JUnit XML as CI systems read it."""
    top = ET.Element("testsuites")
    for suite in suites:
        element = ET.SubElement(
            top,
            "testsuite",
            name=suite.name,
            tests=str(len(suite.cases)),
            failures=str(suite.count(Status.FAIL)),
            skipped=str(suite.count(Status.SKIP)),
            errors="0",
            time=f"{suite.seconds:.3f}",
        )
        for case in suite.cases:
            test = ET.SubElement(
                element, "testcase", classname=suite.name, name=_printable(case.name), time=f"{case.seconds:.3f}"
            )
            message = _printable(case.detail.partition("\n")[0])
            if case.status is Status.FAIL:
                ET.SubElement(test, "failure", message=message).text = _printable(case.detail)
            elif case.status is Status.SKIP:
                ET.SubElement(test, "skipped", message=message)
    ET.indent(top)
    text: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def write(suites: Sequence[Suite], directory: Path) -> None:
    """Write results.ktap and junit.xml into DIRECTORY."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.ktap").write_text(to_ktap(suites))
    (directory / "junit.xml").write_bytes(to_junit(suites))


def read_junit(file: Path, suite: Suite, prefix: str = "") -> None:
    """Add to SUITE the test cases of a JUnit or GoogleTest XML file."""
    for test in ET.parse(file).getroot().iter("testcase"):
        class_name = test.get("classname") or ""
        own = test.get("name") or "?"
        name = f"{class_name}.{own}" if class_name and class_name != own else own
        seconds = float(test.get("time") or 0)
        problem = test.find("failure")
        if problem is None:
            problem = test.find("error")
        skipped = test.find("skipped")
        if problem is not None:
            detail = (problem.get("message") or "") + "\n" + (problem.text or "")
            suite.add(prefix + name, Status.FAIL, detail.strip(), seconds)
        elif skipped is not None or test.get("status") in ("disabled", "notrun"):
            reason = (skipped.get("message") if skipped is not None else "") or "skipped"
            suite.add(prefix + name, Status.SKIP, reason, seconds)
        else:
            suite.add(prefix + name, Status.PASS, "", seconds)
