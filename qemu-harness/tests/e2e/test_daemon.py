# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon keeps memory bounded, and loses no record if it is killed, stopped or out of space."""

from __future__ import annotations

import re
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from e2e import guests
from e2e.guests import MEASURED_PCR
from e2e.test_faults import BANKS, Scenario
from imaharness import evmctl

LIMIT, LOW_LIMIT = 200, 20


class Daemon(Scenario):
    log: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program("ima-snapshotd")
        cls.start("daemon.sh", "daemon", disk="64M", copies=(guests.setpriv(),))
        cls.log = (cls.out / "daemon.log").read_text()

    def test_memory_stays_near_the_limit(self) -> None:
        bounded = self.out.kernel("bounded")
        self.assertLess(bounded.count, LIMIT)
        self.assertGreater(bounded.total, 3 * LIMIT)
        taken = re.findall(r"segment \d+: .*?(\d+) records", (self.out / "bounded.log").read_text())
        self.assertGreaterEqual(len(taken), 3)
        for records in map(int, taken):
            self.assertGreaterEqual(records, LIMIT)
            self.assertLess(records, 0.6 * bounded.total)

    def test_sighup_to_a_lower_limit_takes_effect(self) -> None:
        before, after = self.out.kernel("low.before"), self.out.kernel("low.after")
        self.assertEqual((before.count, after.purges), (61, before.purges + 1))
        self.assertEqual(after.count, 1)

    def test_a_broken_configuration_is_refused_with_its_place(self) -> None:
        refusals = [line for line in self.log.splitlines() if "the old configuration stays in force" in line]
        self.assertEqual(len(refusals), 1)
        self.assertRegex(refusals[0], r"^ima-snapshotd: /etc/ima-snapshot\.conf: line 2: ")

    def test_some_snapshots_were_interrupted(self) -> None:
        self.assertRegex(self.log, "the snapshot was cancelled|which an interrupted snapshot had left|was stored but not")

    def test_a_full_disk_purges_nothing_and_is_overcome(self) -> None:
        full, after = self.out.kernel("full"), self.out.kernel("room-again")
        self.assertGreaterEqual(full.count, 60)
        self.assertEqual((after.purges, after.count), (full.purges + 1, 1))

    def test_no_record_is_lost_or_stored_twice(self) -> None:
        measured = {"low": 60, "full": 60}
        for phase in ("bounded", "killed"):
            for worker in (self.out / f"workers.{phase}").iterdir():
                measured[f"{phase}/{worker.name}"] = int(worker.read_text())
        self.assertEqual(len(measured), 2 + 2 * 4)
        self.check_files(self.check_whole_log(), measured)
        self.assertEqual(self.out.leftovers(), [])

    def test_evmctl_agrees(self) -> None:
        guests.need_tool("evmctl")
        with tempfile.TemporaryDirectory() as directory:
            stitched = Path(directory) / "stitched"
            stitched.write_bytes(self.out.ran("cat").stdout)
            for bank in BANKS:
                verdict = evmctl.judge(stitched, bank, self.out.pcrs().files[bank])
                self.assertTrue(verdict.accepts(bank, MEASURED_PCR, self.out.kernel().total), verdict.text)


if __name__ == "__main__":
    unittest.main()
