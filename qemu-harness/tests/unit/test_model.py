# SPDX-License-Identifier: GPL-2.0-or-later
"""spin checks the model of the store's protocol, and finds it wrong if the protocol is."""

from __future__ import annotations

import re
import shutil
import unittest

import support
from imaharness import paths, process
from imaharness.errors import HarnessError

MODEL = paths.ROOT / "userspace" / "model" / "store.pml"


@unittest.skipUnless(shutil.which("spin"), "spin is not installed; run 'make deps'")
class Model(support.TemporaryDirectory):
    def errors(self, *mutation: str) -> int:
        """The number of errors that spin finds in all interleavings, or before the first one."""
        log = self.tmp / "log"
        try:
            process.logged(["spin", *(f"-D{m}=1" for m in mutation), "-a", MODEL], log=log, cwd=self.tmp)
            process.logged(["gcc", "-O2", "-DSAFETY", "-DCOLLAPSE", "-w", "-o", "pan", "pan.c"], log=log, cwd=self.tmp)
            process.logged([self.tmp / "pan", "-m100000", "-n"], log=log, cwd=self.tmp)
        except HarnessError as e:
            self.fail(str(e))
        text = log.read_text(errors="replace")
        self.assertNotIn("max search depth too small", text)
        found = re.search(r"errors: (\d+)$", text, re.MULTILINE)
        assert found is not None, text
        return int(found[1])

    def test_the_protocol_loses_nothing_and_the_verifier_accepts_no_gap(self) -> None:
        self.assertEqual(self.errors(), 0)

    def test_a_purge_before_the_data_is_synced_is_found(self) -> None:
        self.assertGreater(self.errors("SYNC_LATE"), 0)

    def test_a_directory_that_is_not_synced_is_found(self) -> None:
        self.assertGreater(self.errors("NO_DIR_SYNC"), 0)

    def test_it_stays_short(self) -> None:
        self.assertLess(len(MODEL.read_text().splitlines()), 250)
