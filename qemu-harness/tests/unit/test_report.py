# SPDX-License-Identifier: GPL-2.0-or-later
"""The common form of results, and the files to which it is written."""

from __future__ import annotations

import unittest
import xml.etree.ElementTree as ET

import support
from imaharness import report
from imaharness.ktap import Document
from imaharness.report import Status, Suite


def suite() -> Suite:
    made = Suite("ima", seconds=1.5)
    made.add("opens", Status.PASS, seconds=0.25)
    made.add("re<ads> \x1b[1m", Status.FAIL, "first line\nsecond & line \x00")
    made.add("tpm", Status.SKIP, "no TPM")
    return made


class Counting(unittest.TestCase):
    def test_the_closing_line(self) -> None:
        self.assertEqual(report.closing_line([suite(), suite()]), "2 passed, 2 failed, 2 skipped")

    def test_a_failure_fails(self) -> None:
        self.assertTrue(report.failed([suite()]))

    def test_nothing_passed_fails(self) -> None:
        only = Suite("s")
        only.add("a", Status.SKIP, "why")
        self.assertTrue(report.failed([only]))
        self.assertTrue(report.failed([]))

    def test_all_passed_does_not_fail(self) -> None:
        only = Suite("s")
        only.add("a", Status.PASS)
        self.assertFalse(report.failed([only]))


class JUnit(support.TemporaryDirectory):
    def test_counts_and_texts(self) -> None:
        top = ET.fromstring(report.to_junit([suite()]))
        found = top.find("testsuite")
        assert found is not None
        self.assertEqual(
            [found.get(k) for k in ("name", "tests", "failures", "skipped")], ["ima", "3", "1", "1"]
        )
        failure = found.find("testcase/failure")
        skipped = found.find("testcase/skipped")
        assert failure is not None and skipped is not None
        self.assertEqual(failure.get("message"), "first line")
        self.assertIn("second & line ?", failure.text or "")
        self.assertEqual(skipped.get("message"), "no TPM")

    def test_what_is_written_reads_back(self) -> None:
        report.write([suite()], self.tmp)
        again = Suite("again")
        report.read_junit(self.tmp / "junit.xml", again)
        self.assertEqual([c.status for c in again.cases], [c.status for c in suite().cases])
        self.assertEqual(again.cases[2].detail, "no TPM")

    def test_googletest_and_ctest_forms(self) -> None:
        file = self.tmp / "x.xml"
        file.write_text(
            '<testsuites><testsuite><testcase classname="A" name="b" time="0.5"/>'
            '<testcase classname="A" name="c"><failure message="boom"/></testcase>'
            '<testcase classname="d" name="d" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>'
            "</testcase></testsuite></testsuites>"
        )
        read = Suite("x")
        report.read_junit(file, read)
        self.assertEqual([c.name for c in read.cases], ["A.b", "A.c", "d"])
        self.assertEqual([c.status for c in read.cases], [Status.PASS, Status.FAIL, Status.SKIP])


class Ktap(unittest.TestCase):
    def test_our_ktap_is_read_by_our_parser(self) -> None:
        read = Suite("again")
        document = Document(report.to_ktap([suite(), suite()]))
        document.add_to(read)
        self.assertEqual(document.problems, [])
        self.assertEqual([c.status for c in read.cases], [c.status for c in suite().cases] * 2)


if __name__ == "__main__":
    unittest.main()
