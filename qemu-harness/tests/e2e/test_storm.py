# SPDX-License-Identifier: GPL-2.0-or-later
"""A storm: all that can touch the lists does so at once, and is killed at random.

Environment of the long form: STORM_FLAVOUR, STORM_TIME (seconds for each class),
STORM_RECORDS (how long the list is at its beginning), STORM_SEED.
"""

from __future__ import annotations

import os
import random
import unittest
from collections import Counter
from typing import ClassVar

from e2e import guests
from e2e.guests import Out
from imaharness import image, imalog
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
PCRS = (10, 11)  # of storm.policy


class _Storm:
    class Tests(unittest.TestCase):
        raw: ClassVar[bool]
        # How many kernels. With two CPUs on a busy host, TCG has hung when a kexec'ed
        # kernel switched its clock source.
        parts: ClassVar[int]
        smp: ClassVar[int]
        out: ClassVar[Out]
        log: ClassVar[list[imalog.Record]]

        @classmethod
        def setUpClass(cls) -> None:
            guests.need_program()
            program = guests.built("storm", "programs/storm.c", "-static")
            seconds = int(os.environ.get("STORM_TIME") or 30)
            records = int(os.environ.get("STORM_RECORDS") or 0)
            seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 31))
            guest = guests.spec(
                "storm.sh",
                "storm-raw" if cls.raw else "storm",
                flavour=os.environ.get("STORM_FLAVOUR") or "patched",
                tpm=TpmSpec(banks=BANKS),
                disk="1G",
                kexec=cls.parts > 1,
                smp=cls.smp,
                policy="storm.policy",
                copies=(image.Copy(program, f"{image.GUEST_BIN}/storm"),),
                env={
                    "PARTS": str(cls.parts),
                    "DURATION": str(seconds // cls.parts),
                    "SEED": str(seed),
                    "RECORDS": str(records),
                    "RAW": "yes" if cls.raw else "no",
                },
                memory_mib=1024 + 2 * records // 1000,
                timeout=600.0 + 10 * seconds + records / 500,
            )
            print(f"storm: STORM_SEED={seed}", flush=True)
            cls.out = Out(guests.boot(guest).out)
            if cls.raw:
                live = (cls.out / "ima/binary_runtime_measurements").read_bytes()
                stitched = (cls.out / "log").read_bytes() + live
            else:
                stitched = cls.out.ran("cat").stdout
            cls.log = list(imalog.records(stitched))

        def test_the_log_replays_to_all_pcrs(self) -> None:
            replay = imalog.Replay(BANKS)
            for record in self.log:
                replay.add(record)
            for bank, values in self.out.pcrs().values.items():
                for pcr in PCRS:
                    self.assertEqual(replay.banks[bank][pcr].hex(), values[pcr].hex(), f"{bank} {pcr}")

        def test_counters_agree_with_the_log(self) -> None:
            kernel = self.out.kernel()
            self.assertEqual(kernel.total, len(self.log))
            attempts = [imalog.aggregate(r).attempt for r in self.log if r.is_aggregate]
            self.assertEqual(attempts, list(range(1, kernel.attempts + 1)))
            for before, record in enumerate(self.log):
                if record.is_aggregate:
                    self.assertEqual(imalog.aggregate(record).record_count, before)

        def test_each_file_is_in_the_log_once(self) -> None:
            files = Counter(r.event for r in self.log if r.event.startswith("/load/") and not r.violation)
            for part in range(1, self.parts + 1):
                for line in (self.out / f"measured.{part}").read_text().splitlines():
                    number, done, started = map(int, line.split())
                    for n in range(1, started + 1):
                        times = files.pop(f"/load/{part}/{number}/{n}", 0)
                        self.assertIn(times, (1,) if n <= done else (0, 1), f"{part}/{number}/{n}")
            self.assertEqual(files, Counter())


class ByUs(_Storm.Tests):
    """ima-snapshot alone removes records, and kernels are executed."""

    raw, parts, smp = False, 2, 1

    def test_our_verifier_agrees_with_the_tpm(self) -> None:
        ran = self.out.ran("verify")
        self.assertEqual(ran.status, 0, ran)

    def test_nothing_is_left_over(self) -> None:
        self.assertEqual(self.out.leftovers(), [])


class ByTheStorm(_Storm.Tests):
    """Snapshots, staging and deletion remove records, on two CPUs."""

    raw, parts, smp = True, 1, 2
