# SPDX-License-Identifier: GPL-2.0-or-later
"""What several tests need: the harness on the path and temporary directories."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class TemporaryDirectory(unittest.TestCase):
    """A test with a directory of its own, self.tmp."""

    tmp: Path

    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix="ima-test-")
        self.addCleanup(directory.cleanup)
        self.tmp = Path(directory.name)
