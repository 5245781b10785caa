# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots that fail or are killed lose nothing and purge nothing."""

from __future__ import annotations

import errno
import unittest
from collections import Counter
from typing import Any, ClassVar

from e2e import guests
from e2e.guests import MEASURED_PCR, Out
from imaharness import imalog
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
KILLS = 12
KILLED = 128 + 9
FILE_TOO_LARGE = 128 + 25  # SIGXFSZ


class Scenario(unittest.TestCase):
    """A guest with a store on ext4, whose scenario ends with gather of lib.sh."""

    out: ClassVar[Out]

    @classmethod
    def start(cls, scenario: str, name: str, disk: str, *features: str, **options: Any) -> None:
        guests.need_program()
        guest = guests.spec(scenario, name, *features, tpm=TpmSpec(banks=BANKS), disk=disk, **options)
        cls.out = Out(guests.boot(guest).out)

    def check_replay(self) -> list[imalog.Record]:
        """Compare the stitched log with the PCRs and return it."""
        verified, cat = self.out.ran("verify"), self.out.ran("cat")
        self.assertEqual(verified.status, 0, verified)
        self.assertEqual(cat.status, 0, cat)
        log = list(imalog.records(cat.stdout))
        replay = imalog.Replay(BANKS)
        for record in log:
            replay.add(record)
        values = self.out.pcrs().values
        for bank in BANKS:
            self.assertEqual(replay.banks[bank][MEASURED_PCR], values[bank][MEASURED_PCR], bank)
        return log

    def check_whole_log(self) -> list[imalog.Record]:
        """Compare the stitched log with the PCRs and the kernel's counters and return it."""
        log = self.check_replay()
        self.assertEqual(self.out.kernel().total, len(log))
        attempts = [imalog.aggregate(r).attempt for r in log if r.is_aggregate]
        self.assertEqual(attempts, list(range(1, self.out.kernel().attempts + 1)))
        for before, record in enumerate(log):
            if record.is_aggregate:
                self.assertEqual(imalog.aggregate(record).record_count, before)
        return log

    def check_files(self, log: list[imalog.Record], expected: dict[str, int]) -> None:
        """Check that each file DIRECTORY/1 to DIRECTORY/N is in the log once."""
        files = Counter(r.event for r in log if r.event.startswith("/load/") and "/violations/" not in r.event)
        wanted = Counter(f"/load/{d}/{n}" for d, last in expected.items() for n in range(1, last + 1))
        self.assertEqual(files, wanted)


class NoRoom(Scenario):
    # The cause and the error number.
    FAILING: ClassVar[dict[str, tuple[str, int | None]]] = {
        "full": ("no_space", None),
        "no-inode": ("other", errno.ENOSPC),
        "too-large": ("other", errno.EFBIG),
        "read-only": ("other", errno.EROFS),
    }

    @classmethod
    def setUpClass(cls) -> None:
        cls.start("faults.sh", "faults", disk="16M")

    def test_a_snapshot_with_room_succeeds(self) -> None:
        ran = self.out.ran("room")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(self.out.kernel("room.after").purges, 1)

    def test_each_failure_is_reported_and_purges_nothing(self) -> None:
        for name, why in self.FAILING.items():
            with self.subTest(name):
                ran = self.out.ran(name)
                self.assertEqual(ran.status, 1, ran)
                self.assertTrue(ran.error["file"].startswith("/disk/store"), ran)
                self.assertEqual((ran.error["cause"], ran.error["errno"]), why)
                self.check_nothing_lost(name)

    def test_being_killed_by_the_write_purges_nothing(self) -> None:
        ran = self.out.ran("died-writing")
        self.assertEqual(ran.status, FILE_TOO_LARGE, ran)
        self.check_nothing_lost("died-writing")

    def check_nothing_lost(self, name: str) -> None:
        before, after = self.out.kernel(f"{name}.before"), self.out.kernel(f"{name}.after")
        self.assertEqual((before.purges, after.purges), (1, 1))
        self.assertTrue(after.log.startswith(before.log))
        added = list(imalog.records(after.log[len(before.log) :]))
        # At most the aggregate of the attempt, which is an ordinary record now.
        self.assertEqual([r.event for r in added], [imalog.AGGREGATE] * (after.attempts - before.attempts))
        self.assertLessEqual(len(added), 1)
        self.assertEqual(after.count, before.count + len(added))
        self.assertEqual(after.total, before.total + len(added))
        verified = self.out.ran(f"{name}-verify")
        self.assertEqual(verified.status, 0, verified)

    def test_a_full_disk_is_noticed_before_the_log_grows(self) -> None:
        before, after = self.out.kernel("full.before"), self.out.kernel("full.after")
        self.assertEqual(before, after)

    def test_with_room_again_the_next_snapshot_takes_it_all(self) -> None:
        ran = self.out.ran("room-again")
        self.assertEqual(ran.status, 0, ran)
        after = self.out.kernel("room-again.after")
        self.assertEqual((after.purges, after.count), (2, 1))
        self.assertEqual(len(self.out.segments()), 2)
        self.assertEqual(self.out.leftovers(), [])
        self.check_files(self.check_whole_log(), {"first": 200, "second": 300})


class Killed(Scenario):
    kills = KILLS
    disk = "64M"

    @classmethod
    def setUpClass(cls) -> None:
        cls.start("kill.sh", "kill", disk=cls.disk, env={"KILLS": str(cls.kills)})

    def test_some_were_killed_at_work(self) -> None:
        statuses = [int((self.out / f"kill{n}.status").read_text()) for n in range(1, self.kills + 1)]
        self.assertLessEqual(set(statuses), {0, KILLED})
        self.assertIn(KILLED, statuses)

    def test_the_snapshots_after_it_succeed(self) -> None:
        for name in ("whole", "after", "last"):
            ran = self.out.ran(name)
            self.assertEqual(ran.status, 0, ran)
        self.assertEqual(self.out.leftovers(), [])
        self.assertEqual(self.out.kernel().count, 1)

    def test_no_record_is_lost_or_stored_twice(self) -> None:
        workers = {w.name: int(w.read_text()) for w in (self.out / "workers").iterdir()}
        self.assertEqual(len(workers), 4)
        self.check_files(self.check_whole_log(), workers)
