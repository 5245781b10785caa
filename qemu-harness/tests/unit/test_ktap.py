# SPDX-License-Identifier: GPL-2.0-or-later
"""KTAP as KUnit, kselftest and crashing programs print it."""

from __future__ import annotations

import textwrap
import unittest

import support  # noqa: F401
from imaharness.ktap import Document
from imaharness.report import Status, Suite


def parse(text: str) -> Document:
    return Document(textwrap.dedent(text))


def flat(text: str) -> dict[str, Status]:
    suite = Suite("s")
    parse(text).add_to(suite)
    return {case.name: case.status for case in suite.cases}


class Kselftest(unittest.TestCase):
    HARNESS = """
        TAP version 13
        1..3
        # Starting 3 tests from 1 test cases.
        #  RUN           global.opens ...
        #            OK  global.opens
        ok 1 global.opens
        #  RUN           global.reads ...
        # snapshot_test.c:42:reads:Expected 5 (5) == errno (0)
        # reads: Test failed
        #          FAIL  global.reads
        not ok 2 global.reads
        ok 3 global.tpm # SKIP no TPM
        # FAILED: 2 / 3 tests passed.
        # Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
        """

    def test_each_status(self) -> None:
        self.assertEqual(
            flat(self.HARNESS),
            {"global.opens": Status.PASS, "global.reads": Status.FAIL, "global.tpm": Status.SKIP},
        )

    def test_a_failure_keeps_what_was_said_before_it(self) -> None:
        failed = parse(self.HARNESS).results[1]
        self.assertIn("Expected 5 (5) == errno (0)", failed.detail)
        self.assertNotIn("global.opens", failed.detail)

    def test_a_skip_keeps_its_reason(self) -> None:
        self.assertTrue(parse(self.HARNESS).results[2].detail.startswith("no TPM"))

    def test_a_plan_of_none_is_a_skip_with_its_reason(self) -> None:
        document = parse("TAP version 13\n1..0 # SKIP no snapshot file\n")
        self.assertEqual([r.status for r in document.results], [Status.SKIP])
        self.assertEqual(document.results[0].detail, "no snapshot file")
        self.assertEqual(document.problems, [])

    def test_todo_is_expected_to_fail(self) -> None:
        self.assertEqual(flat("1..1\nnot ok 1 later # TODO not yet\n"), {"later": Status.SKIP})

    def test_a_timeout_is_a_failure(self) -> None:
        self.assertEqual(flat("1..1\nnot ok 1 slow # TIMEOUT 45 seconds\n"), {"slow": Status.FAIL})

    def test_a_name_with_a_dash_before_it(self) -> None:
        self.assertEqual(flat("1..1\nok 1 - with dash\n"), {"with dash": Status.PASS})


class Nested(unittest.TestCase):
    KUNIT = """
        KTAP version 1
        1..2
            KTAP version 1
            # Subtest: ima_snapshot
            # module: ima
            1..2
            ok 1 header
                KTAP version 1
                # Subtest: banks
                1..2
                ok 1 sha1
                not ok 2 sha256
            # banks: pass:1 fail:1 skip:0 total:2
            not ok 2 banks
        # ima_snapshot: pass:1 fail:1 skip:0 total:2
        not ok 1 ima_snapshot
            KTAP version 1
            1..1
            ok 1 only # SKIP needs a TPM
        ok 2 other # SKIP
        """

    def test_innermost_results_are_named_by_their_path(self) -> None:
        self.assertEqual(
            flat(self.KUNIT),
            {
                "ima_snapshot.header": Status.PASS,
                "ima_snapshot.banks.sha1": Status.PASS,
                "ima_snapshot.banks.sha256": Status.FAIL,
                "other.only": Status.SKIP,
            },
        )
        self.assertEqual(parse(self.KUNIT).problems, [])

    def test_a_kernel_log_with_time_stamps_reads_the_same(self) -> None:
        lines = textwrap.dedent(self.KUNIT).strip().splitlines()
        stamped = "\n".join(f"[    1.{i:06}] {line}" for i, line in enumerate(lines))
        self.assertEqual(flat(stamped), flat(self.KUNIT))

    def test_the_old_form_with_hashes_in_front(self) -> None:
        text = """
            TAP version 13
            1..1
            # selftests: ima: snapshot_test
            # TAP version 13
            # 1..2
            # ok 1 a
            # not ok 2 b
            not ok 1 selftests: ima: snapshot_test # exit=1
            """
        self.assertEqual(
            flat(text),
            {
                "selftests: ima: snapshot_test # exit=1.a": Status.PASS,
                "selftests: ima: snapshot_test # exit=1.b": Status.FAIL,
            },
        )

    def test_a_parent_may_fail_though_its_children_pass(self) -> None:
        text = "1..1\n    1..1\n    ok 1 in\nnot ok 1 out\n"
        self.assertEqual(flat(text), {"out.in": Status.PASS, "out": Status.FAIL})


class Incomplete(unittest.TestCase):
    def problems(self, text: str) -> list[str]:
        return parse(text).problems

    def test_fewer_results_than_planned(self) -> None:
        self.assertEqual(self.problems("1..3\nok 1 a\n"), ["3 tests planned, 1 results (last: a)"])

    def test_more_results_than_planned(self) -> None:
        self.assertEqual(len(self.problems("1..1\nok 1 a\nok 2 b\n")), 1)

    def test_a_nested_test_cut_short_by_a_crash(self) -> None:
        found = self.problems("1..1\n    1..2\n    ok 1 in\n")
        self.assertTrue(any("never ended (last seen: in)" in p for p in found), found)

    def test_nothing_at_all(self) -> None:
        self.assertEqual(self.problems("Segmentation fault\n"), ["no test results"])

    def test_bail_out(self) -> None:
        self.assertIn("bailed out: no root", self.problems("1..1\nok 1 a\nBail out! no root\n"))

    def test_a_number_left_out(self) -> None:
        self.assertIn("test 2 is numbered 3 (c)", self.problems("1..2\nok 1 a\nok 3 c\n"))

    def test_each_problem_is_a_failed_test(self) -> None:
        self.assertEqual(
            flat("1..2\nok 1 a\n"), {"a": Status.PASS, "complete-1": Status.FAIL}
        )


if __name__ == "__main__":
    unittest.main()
