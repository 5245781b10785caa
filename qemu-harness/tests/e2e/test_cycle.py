# SPDX-License-Identifier: GPL-2.0-or-later
"""Three snapshots under load, checked by ima-snapshot, by evmctl and by the tests' own replay."""

from __future__ import annotations

import hashlib
import tempfile
import unittest
from collections import Counter
from pathlib import Path

from e2e import guests
from e2e.guests import MEASURED_PCR, Kernel, Out, Pcrs, Setting
from imaharness import evmctl, imalog
from imaharness.imalog import Record

SNAPSHOTS = 3


class _Cycle:
    """The tests of one setting. Below, a class per setting inherits them."""

    class Tests(unittest.TestCase):
        setting: Setting
        out: Out
        stitched: bytes
        log: list[Record]
        before: Kernel
        kernel: Kernel
        pcrs: Pcrs

        @classmethod
        def setUpClass(cls) -> None:
            guests.need_program()
            cls.out = guests.cycle(cls.setting)
            cls.kernel = cls.out.kernel()
            cls.pcrs = cls.out.pcrs()
            ran = cls.out.ran("cat")
            if ran.status != 0:
                raise AssertionError(f"ima-snapshot cat: {ran}")
            cls.stitched = ran.stdout
            cls.log = list(imalog.records(cls.stitched))

        def aggregates(self) -> list[Record]:
            return [r for r in self.log if r.is_aggregate]

        def segments(self) -> list[bytes]:
            return [f.read_bytes() for f in self.out.segments()]

        def test_each_snapshot_succeeds(self) -> None:
            for number in range(1, SNAPSHOTS + 1):
                ran = self.out.ran(f"take{number}")
                self.assertEqual(ran.status, 0, ran)
            self.assertEqual((self.kernel.attempts, self.kernel.purges), (SNAPSHOTS, SNAPSHOTS))
            self.assertEqual(len(self.segments()), SNAPSHOTS)

        def test_nothing_was_measured_while_the_evidence_was_gathered(self) -> None:
            self.assertEqual(self.kernel, self.out.kernel("ima-after"))

        def test_stitched_log_is_the_segments_and_the_live_list(self) -> None:
            self.assertEqual(self.stitched, b"".join(self.segments()) + self.kernel.log)

        def test_stitched_ascii_is_what_the_kernel_prints(self) -> None:
            ran = self.out.ran("cat-ascii")
            self.assertEqual(ran.status, 0, ran)
            lines = ran.stdout.splitlines()
            self.assertEqual(len(lines), len(self.log))
            self.assertEqual(lines[len(lines) - self.kernel.count :], self.kernel.ascii.splitlines())

        def test_counters_agree_with_the_log(self) -> None:
            self.assertEqual(self.kernel.total, len(self.log))
            self.assertEqual(self.kernel.count, len(list(imalog.records(self.kernel.log))))
            self.assertEqual(self.kernel.size, len(self.kernel.log))

        def test_no_record_is_lost_or_stored_twice(self) -> None:
            events = Counter(r.event for r in self.log)
            expected: Counter[str] = Counter({"boot_aggregate": 1, imalog.AGGREGATE: SNAPSHOTS})
            for worker in (self.out / "workers").iterdir():
                files = int(worker.read_text())
                self.assertGreater(files, 0, worker.name)
                expected.update({f"/load/{worker.name}/{n}": 1 for n in range(1, files + 1)})
            violations = {e: n for e, n in events.items() if e.startswith("/load/violations/")}
            self.assertTrue(violations)
            self.assertEqual(events - expected, Counter(violations))
            self.assertEqual(expected - events, Counter())
            # Each such file has two records: its measurement and its violation.
            self.assertEqual(set(violations.values()), {2}, violations)
            violated = Counter(r.event for r in self.log if r.violation)
            self.assertEqual(violated, Counter(dict.fromkeys(violations, 1)))

        def test_every_header_is_the_digest_of_its_record(self) -> None:
            self.assertEqual(imalog.wrong_digests(self.log), [])

        def test_aggregates_say_what_was_before_them(self) -> None:
            replay = imalog.Replay(self.setting.banks)
            hashes = [hashlib.sha256(s).hexdigest() for s in self.segments()]
            seen = 0
            for before, record in enumerate(self.log):
                if record.is_aggregate:
                    aggregate = imalog.aggregate(record)
                    seen += 1
                    self.assertEqual(aggregate.attempt, seen)
                    self.assertEqual(aggregate.record_count, before)
                    self.assertEqual(aggregate.segment_hash, hashes[seen - 1])
                    self.assertEqual(sorted(aggregate.banks), sorted(self.setting.banks))
                    self.assertLessEqual(len(record.data), 4096)
                    for bank, pcrs in replay.banks.items():
                        self.assertEqual(aggregate.value(bank, MEASURED_PCR), pcrs[MEASURED_PCR], f"{bank}, {seen}")
                        # After boot, only IMA extends PCRs in this guest.
                        for pcr in set(range(imalog.PCRS)) - {MEASURED_PCR}:
                            self.assertEqual(aggregate.value(bank, pcr), self.pcrs.values[bank][pcr], f"{bank} PCR {pcr}")
                replay.add(record)
            self.assertEqual(seen, SNAPSHOTS)

        def test_replay_is_the_pcr_in_every_bank(self) -> None:
            self.assertEqual(sorted(self.pcrs.values), sorted(self.setting.banks))
            replay = imalog.Replay(self.setting.banks)
            for record in self.log:
                replay.add(record)
            for bank, pcrs in replay.banks.items():
                self.assertEqual(pcrs[MEASURED_PCR].hex(), self.pcrs.values[bank][MEASURED_PCR].hex(), bank)

        def test_remainder_alone_does_not_replay(self) -> None:
            replay = imalog.Replay(self.setting.banks)
            for record in imalog.records(self.kernel.log):
                replay.add(record)
            for bank, pcrs in replay.banks.items():
                self.assertNotEqual(pcrs[MEASURED_PCR], self.pcrs.values[bank][MEASURED_PCR], bank)

        def test_our_verifier_agrees_with_the_tpm(self) -> None:
            for name in ("verify", "verify-json"):
                ran = self.out.ran(name)
                self.assertEqual(ran.status, 0, ran)

        def test_evmctl_accepts_the_stitched_log_and_refuses_what_is_not_it(self) -> None:
            guests.need_tool("evmctl")
            # Not a violation: the PCRs do not depend on its contents.
            middle = next(r for r in self.log[len(self.log) // 2 :] if not r.violation)
            flipped = bytearray(self.stitched)
            flipped[middle.offset + len(middle.raw) - 2] ^= 1
            wrongs = {
                "the remainder alone": self.kernel.log,
                "a flipped byte": bytes(flipped),
                "a lost record": self.stitched.replace(middle.raw, b"", 1),
                "a lost last record": self.stitched[: self.log[-1].offset],
                "a record twice": self.stitched.replace(middle.raw, 2 * middle.raw, 1),
            }
            with tempfile.TemporaryDirectory() as directory:
                file = Path(directory) / "log"
                for bank in set(evmctl.BANKS) & set(self.setting.banks):
                    file.write_bytes(self.stitched)
                    verdict = evmctl.judge(file, bank, self.pcrs.files[bank])
                    self.assertTrue(verdict.accepts(bank, MEASURED_PCR, len(self.log)), verdict)
                    for name, wrong in wrongs.items():
                        file.write_bytes(wrong)
                        verdict = evmctl.judge(file, bank, self.pcrs.files[bank])
                        self.assertIsNone(verdict.matched_at(bank, MEASURED_PCR), f"{name}: {verdict}")

        def test_documented_recipe_gives_the_data_hash(self) -> None:
            data_hash = (self.out / "recipe.d-ng").read_text().strip()
            self.assertRegex(data_hash, r"^sha256:[0-9a-f]{64}$")
            self.assertEqual((self.out / "recipe.sha256sum").read_text().split()[0], data_hash.partition(":")[2])
            self.assertEqual((self.out / "recipe.text").read_bytes(), self.aggregates()[-1].fields[2])


class OneBankOnTis(_Cycle.Tests):
    setting = Setting(("sha256",), "tis", disk=True)


class TwoBanksOnCrb(_Cycle.Tests):
    setting = Setting(("sha1", "sha256"), "crb", disk=False)


class ThreeBanksOnTis(_Cycle.Tests):
    setting = Setting(("sha1", "sha256", "sha384"), "tis", disk=False)


class ThreeBanksOnCrb(_Cycle.Tests):
    setting = Setting(("sha1", "sha256", "sha384"), "crb", disk=True)
