# SPDX-License-Identifier: GPL-2.0-or-later
"""A log that begins with boot_aggregate_late: read whole, over a snapshot and a kexec."""

from __future__ import annotations

import unittest
from typing import ClassVar

from e2e import guests
from e2e.guests import Out
from imaharness import imalog
from imaharness.tpm import TpmSpec

LATE = "boot_aggregate_late"


class Late(unittest.TestCase):
    out: ClassVar[Out]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        guests.need_tool("kexec")
        # One CPU, as in test_kexec.py.
        guest = guests.spec(
            "late.sh", "late", "fuse", flavour="late", tpm=TpmSpec(banks=("sha256",)), disk="64M", kexec=True, smp=1
        )
        cls.out = Out(guests.boot(guest).out)

    def test_each_kernel_begins_with_it(self) -> None:
        events = [r.event for r in imalog.records(self.out.ran("cat").stdout)]
        self.assertEqual(events[0], LATE)
        self.assertEqual(events.count(LATE), 2)
        self.assertNotIn("boot_aggregate", events)

    def test_all_that_reads_the_log_accepts_it(self) -> None:
        for part in ("part1", "part2"):
            for command in ("cat", "ascii", "verify", "view"):
                ran = self.out.ran(f"{part}.{command}")
                self.assertEqual(ran.status, 0, f"{part} {command}: {ran}")
            self.assertEqual(self.out.ran(f"{part}.view").stdout, self.out.ran(f"{part}.cat").stdout)

    def test_the_next_snapshot_goes_into_the_same_session(self) -> None:
        first, second = self.out.ran("part1.take"), self.out.ran("part2.take")
        self.assertEqual((first.status, second.status), (0, 0), f"{first}\n{second}")
        self.assertEqual(second.json["session"], first.json["session"])
        self.assertEqual((first.json["attempt"], second.json["attempt"]), (1, 2))
        self.assertEqual(self.out.ran("verify").status, 0, self.out.ran("verify"))
