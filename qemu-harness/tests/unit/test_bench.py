# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark: which records belong to which opening, and its closing table."""

from __future__ import annotations

import json
import unittest

import support  # noqa: F401  (puts the harness on the path)
from bench.figures import Span, latency, rounds, split
from bench.tables import Outcome, Target, closing_table


class Figures(unittest.TestCase):
    def test_a_record_that_overlaps_an_opening_is_one_during_it(self) -> None:
        opening = [Span(100, 200)]
        for start, end in ((90, 100), (90, 150), (110, 120), (90, 300), (150, 250), (200, 210)):
            with self.subTest((start, end)):
                (found,) = rounds([Span(start, end), Span(300, 301)], opening, 1)
                self.assertEqual((found.during, found.ordinary), ([end - start], [1]))

    def test_records_belong_to_the_round_of_the_opening_before_them(self) -> None:
        openings = [Span(100, 200), Span(300, 400), Span(500, 600), Span(700, 800)]
        ordinary = [Span(210, 211), Span(410, 412), Span(610, 613), Span(810, 814), Span(10, 99)]
        during = [Span(120, 125), Span(320, 326), Span(520, 527), Span(720, 728)]
        found = rounds(ordinary + during, openings, 2)
        self.assertEqual([r.ordinary for r in found], [[1, 2], [3, 4]])
        self.assertEqual([r.during for r in found], [[5, 6], [7, 8]])

    def test_a_round_without_records_is_left_out(self) -> None:
        openings = [Span(1000 * i, 1000 * i + 100) for i in range(3)]
        pairs = [(Span(o.start, o.start + 5), Span(o.end + 1, o.end + 2)) for o in openings]
        whole = [record for pair in pairs for record in pair]
        self.assertEqual(len(rounds(whole, openings, 1)), 3)
        self.assertEqual(len(rounds(whole[1:], openings, 1)), 2)
        self.assertEqual(len(rounds(whole[:-1], openings, 1)), 2)

    def test_too_few_rounds_with_records_are_an_error(self) -> None:
        with self.assertRaises(ValueError):
            rounds([Span(110, 120)], [Span(100, 200)], 1)
        with self.assertRaises(ValueError):
            rounds([], [], 1)

    def test_the_worst_is_the_median_of_the_rounds(self) -> None:
        openings = [Span(1000 * i, 1000 * i + 100) for i in range(3)]
        during = [Span(0, 50), Span(1000, 1060), Span(2000, 2090)]
        ordinary = [Span(1000 * i + 200, 1000 * i + 200 + n) for i in range(3) for n in (10, 12, 30 + i)]
        found = latency(rounds(during + ordinary, openings, 1))
        self.assertEqual((found.ordinary, found.worst_ordinary, found.worst_during), (12, 31, 60))
        self.assertEqual((found.worst_ordinary_ever, found.worst_during_ever, found.added), (32, 90, 48))


    def test_both_the_open_and_the_read_walk_the_list(self) -> None:
        found = split(opening=90, reading=60, size=20, hash_per_byte=2)
        self.assertEqual((found.walk, found.hash, found.copy, found.total), (50, 40, 10, 150))


class Tables(unittest.TestCase):
    def test_the_closing_table_has_met_and_missed(self) -> None:
        outcome = Outcome("p", targets=[Target("fast", "2", True), Target("small", "3", False)])
        lines = str(closing_table([outcome])).splitlines()
        self.assertRegex(lines[-2], r"^p: fast +2 +MET$")
        self.assertRegex(lines[-1], r"^p: small +3 +MISSED$")

    def test_an_outcome_can_be_written_as_json(self) -> None:
        outcome = Outcome("p", targets=[Target("fast", "2", True)], figures={"by": {1: [2.5]}})
        result = json.loads(json.dumps(outcome.as_json()))
        self.assertEqual(result["figures"], {"by": {"1": [2.5]}})
        self.assertEqual(result["targets"], [{"promise": "fast", "measured": "2", "met": True}])


if __name__ == "__main__":
    unittest.main()
