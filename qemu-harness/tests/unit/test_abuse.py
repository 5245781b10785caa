# SPDX-License-Identifier: GPL-2.0-or-later
"""userspace/ABUSE.md names tests that exist."""

from __future__ import annotations

import re
import unittest

import support  # noqa: F401  (puts the harness on the path)
from imaharness import paths

_FOLDERS = {
    "KERNEL": "selftests",
    "UNIT": "userspace/tests",
    "FUZZ": "userspace/fuzz",
    "E2E": "qemu-harness/tests/e2e",
    "HARNESS": "qemu-harness/tests/unit",
}


class Abuse(unittest.TestCase):
    def test_each_row_has_a_test_that_exists(self) -> None:
        text = (paths.ROOT / "userspace/ABUSE.md").read_text()
        rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
        self.assertGreater(len(rows), 20)
        for row in rows:
            with self.subTest(row):
                found = re.search(r"(\w+) `([\w.]+)` `(\w+)` \|$", row)
                assert found is not None
                where, file, name = found.groups()
                self.assertRegex((paths.ROOT / _FOLDERS[where] / file).read_text(), rf"\b{name}\b")
