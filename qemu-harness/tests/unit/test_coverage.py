# SPDX-License-Identifier: GPL-2.0-or-later
"""What counts as reached, in the output of objdump and of llvm-cov."""

from __future__ import annotations

import unittest

import support  # noqa: F401  (puts the harness on the path)
from imaharness import coverage, kcov

_DISASSEMBLY = """
ffffffff81000010 <ima_snapshot_open>:
ffffffff81000010:\tendbr64
ffffffff81000014:\tcall   ffffffff81000100 <__sanitizer_cov_trace_pc>
ffffffff81000019:\ttest   %eax,%eax
ffffffff8100001b:\tcall   ffffffff81000200 <mutex_lock>
ffffffff81000020:\tcall   ffffffff81000100 <__sanitizer_cov_trace_pc>

ffffffff81000025:\tret
"""


class Coverage(unittest.TestCase):
    def test_a_site_is_the_address_behind_the_call(self) -> None:
        self.assertEqual(kcov.sites(_DISASSEMBLY), [0xFFFFFFFF81000019, 0xFFFFFFFF81000025])

    def test_a_place_has_its_reason(self) -> None:
        self.assertTrue(str(kcov.Place("ima_snapshot.c", 7, "ima_snapshot_fs_init")).endswith(" coverage"))
        self.assertTrue(str(kcov.Place("ima_snapshot.c", 7, "another")).endswith(" another()"))

    def test_only_code_that_was_counted_can_be_unreached(self) -> None:
        segments = [
            [1, 1, 5, True, True, False],
            [3, 2, 0, True, True, False],
            [5, 1, 0, True, False, True],
            [6, 1, 0, False, False, False],
            [9, 1, 0, True, True, False],
            [12, 1, 0, False, False, False],
        ]
        self.assertEqual(list(coverage.unreached({"segments": segments})), [(3, 5), (9, 12)])

    def test_places_that_touch_are_one(self) -> None:
        segments = [[3, 2, 0, True, True, False], [5, 1, 0, True, True, False], [6, 1, 2, True, True, False]]
        self.assertEqual(list(coverage.unreached({"segments": segments})), [(3, 6)])

    def test_the_first_reason_that_fits_is_given(self) -> None:
        reasons = [coverage.Reason("fails", code="SystemError"), coverage.Reason("draws", files=["cli/*"])]
        source = ["if (fd < 0) {", "  return SystemError(path);", "}", "Draw();"]
        self.assertEqual(coverage.explained("cli/a.cc", source, 1, 3, reasons), ("cli/a.cc:1-3: fails", True))
        self.assertEqual(coverage.explained("cli/a.cc", source, 4, 4, reasons), ("cli/a.cc:4-4: draws", True))
        self.assertEqual(coverage.explained("src/a.cc", source, 4, 4, reasons), ("src/a.cc:4-4", False))

    def test_each_reason_of_the_file_can_be_read(self) -> None:
        reasons = coverage.read_reasons()
        self.assertTrue(reasons and all(reason.why for reason in reasons))
