# SPDX-License-Identifier: GPL-2.0-or-later
"""The log continues over kexec: the counters, the PCRs, the next snapshot."""

from __future__ import annotations

import errno
import hashlib
import unittest
from typing import ClassVar

from e2e import guests
from e2e.guests import MEASURED_PCR, Out
from e2e.test_faults import Scenario
from imaharness import image, imalog
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")


class Kexec(unittest.TestCase):
    out: ClassVar[Out]
    console: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        guests.need_tool("kexec")
        # One CPU: with two on a busy host, TCG has hung when a kexec'ed kernel
        # switched its clock source.
        program = guests.built("snapshot_amid_kexec", "programs/snapshot_amid_kexec.c", "-static")
        guest = guests.spec(
            "kexec.sh",
            "kexec",
            tpm=TpmSpec(banks=BANKS),
            copies=[image.Copy(program, f"{image.GUEST_BIN}/snapshot_amid_kexec")],
            disk="64M",
            kexec=True,
            smp=1,
        )
        result = guests.boot(guest)
        cls.out = Out(result.out)
        cls.console = (result.directory / "console.log").read_text(errors="replace")

    def check_replay(self, log: bytes, pcrs: str) -> None:
        replay = imalog.Replay(BANKS)
        for record in imalog.records(log):
            replay.add(record)
        for bank, values in self.out.pcrs(pcrs).values.items():
            self.assertEqual(replay.banks[bank][MEASURED_PCR].hex(), values[MEASURED_PCR].hex(), bank)

    def test_the_list_and_the_counters_go_on(self) -> None:
        first, second = self.out.kernel("part1"), self.out.kernel("part2")
        self.assertTrue(second.log.startswith(first.log))
        added = list(imalog.records(second.log[len(first.log) :]))
        self.assertEqual([r.event for r in added], ["boot_aggregate"])
        self.assertEqual((first.attempts, first.purges), (1, 1))
        self.assertEqual((second.attempts, second.purges), (1, 0))
        self.assertEqual(second.total, first.total + len(added))
        self.assertEqual(second.count, first.count + len(added))
        self.assertEqual(second.size, len(second.log))

    def test_segment_and_carried_list_replay_to_the_pcrs(self) -> None:
        segment = self.out.segments()[0].read_bytes()
        self.check_replay(segment + self.out.kernel("part1").log, "part1.pcrs")
        self.check_replay(segment + self.out.kernel("part2").log, "part2.pcrs")
        stitched = self.out.ran("part2.cat")
        self.assertEqual((stitched.status, stitched.stdout), (0, segment + self.out.kernel("part2").log))
        verified = self.out.ran("part2.verify")
        self.assertEqual(verified.status, 0, verified)

    def test_the_next_snapshot_goes_into_the_same_session(self) -> None:
        first, second = self.out.ran("part1.take"), self.out.ran("part2.take")
        self.assertEqual((first.status, second.status), (0, 0), f"{first}\n{second}")
        self.assertEqual(second.json["session"], first.json["session"])
        self.assertEqual((first.json["attempt"], second.json["attempt"]), (1, 2))
        verified = self.out.ran("verify")
        self.assertEqual(verified.status, 0, verified)
        stitched = self.out.ran("cat").stdout
        self.check_replay(stitched, "pcrs")
        log = list(imalog.records(stitched))
        self.assertEqual(self.out.kernel().total, len(log))
        aggregates = [(imalog.aggregate(r), r.number) for r in log if r.is_aggregate]
        self.assertEqual([(a.attempt, a.record_count) for a, _ in aggregates],
                         [(n, number - 1) for n, (_, number) in enumerate(aggregates, 1)])  # fmt: skip
        files = [r.event for r in log if r.event.startswith("/load/")]
        wanted = [("first", 150), ("carried", 150), ("second", 150), ("third", 20)]
        self.assertEqual(files, [f"/load/{d}/{n}" for d, last in wanted for n in range(1, last + 1)])

    def test_a_list_that_outgrew_its_buffer_ends_with_a_whole_record(self) -> None:
        end, carried = self.out.kernel("part2.end"), self.out.kernel("part3")
        # Otherwise the list did not outgrow the buffer, and the test proves nothing.
        self.assertLess(carried.count, end.count)
        log = list(imalog.records(carried.log))
        self.assertEqual(len(log), carried.count)
        self.assertEqual(log[-1].event, "boot_aggregate")
        whole = carried.log[: log[-1].offset]
        self.assertTrue(end.log.startswith(whole))
        self.assertEqual(imalog.wrong_digests(log), [])
        for part in ("part2.dmesg", "part3.dmesg"):
            text = (self.out / part).read_text(errors="replace")
            self.assertIn("Linux version", text)
            self.assertNotIn("Failed to restore", text)
            self.assertNotIn("attempting to restore", text)

    def test_the_buffer_has_room_for_snapshots_that_were_not_purged(self) -> None:
        before, end, carried = (self.out.kernel(part) for part in ("part3", "part3.end", "part4"))
        self.assertEqual(end.attempts, before.attempts + 6)
        self.assertTrue(carried.log.startswith(end.log))
        self.assertEqual([r.event for r in imalog.records(carried.log[len(end.log) :])], ["boot_aggregate"])
        self.assertEqual((carried.attempts, carried.total), (end.attempts, end.total + 1))
        self.assertNotIn("Failed to restore", (self.out / "part4.dmesg").read_text(errors="replace"))

    def test_a_purge_between_load_and_execute_is_carried_over(self) -> None:
        before, end, carried = (self.out.kernel(part) for part in ("part4", "part4.end", "part5"))
        segment = (self.out / "part4.segment").read_bytes()
        self.assertTrue(segment.startswith(before.log))
        first = next(iter(imalog.records(end.log)))
        self.assertTrue(first.is_aggregate)
        self.assertEqual(imalog.aggregate(first).segment_hash, hashlib.sha256(segment).hexdigest())
        self.assertTrue(carried.log.startswith(end.log))
        self.assertEqual([r.event for r in imalog.records(carried.log[len(end.log) :])], ["boot_aggregate"])
        self.assertEqual((carried.attempts, carried.total), (end.attempts, end.total + 1))
        self.assertEqual(carried.attempts, before.attempts + 1)
        self.assertNotIn("Failed to restore", (self.out / "part5.dmesg").read_text(errors="replace"))

    def need_staging(self) -> None:
        if not (self.out / "part5.objects").exists():
            self.skipTest("this kernel has no staging")

    def test_carried_records_that_staging_deletes_are_freed(self) -> None:
        self.need_staging()
        before, after = (
            sum(map(int, (self.out / name).read_text().split())) for name in ("part5.objects", "part5.objects-after")
        )
        # An entry, its place on the list, its digests and two fields at least. The first three of
        # them used to leak. Objects of others come and go, hence less than all of it.
        self.assertGreater(before - after, 4 * self.out.kernel("part5").count)

    def test_without_an_aggregate_the_counters_begin_anew(self) -> None:
        self.need_staging()
        end, carried = self.out.kernel("part5.end"), self.out.kernel("part6")
        self.assertEqual([r for r in imalog.records(end.log) if r.is_aggregate], [])
        # Staging does not make this kernel forget them, only the next one.
        self.assertEqual(end.attempts, self.out.kernel("part5").attempts)
        self.assertGreater(end.total, end.count)
        self.assertTrue(carried.log.startswith(end.log))
        self.assertEqual((carried.attempts, carried.total), (0, carried.count))
        self.assertEqual(carried.count, end.count + 1)

    def test_a_suspended_snapshot_can_neither_be_opened_nor_purged(self) -> None:
        said = [line.partition("] ")[2].strip() for line in self.console.splitlines() if "snapshot_amid_kexec: " in line]
        self.assertEqual(said, ["snapshot_amid_kexec: second ESHUTDOWN, write ESHUTDOWN, reopen ESHUTDOWN"])
        end, carried = self.out.kernel("part6.end"), self.out.kernel("part7")
        self.assertTrue(carried.log.startswith(end.log))
        added = list(imalog.records(carried.log[len(end.log) :]))
        self.assertEqual([r.event for r in added], [imalog.AGGREGATE, "boot_aggregate"])
        self.assertEqual(imalog.aggregate(added[0]).attempt, end.attempts + 1)
        self.assertEqual(imalog.aggregate(added[0]).record_count, end.total)
        self.assertEqual((carried.attempts, carried.total), (end.attempts + 1, end.total + 2))


class FailingLoads(Scenario):
    """Each allocation fails in its turn while the next kernel is loaded."""

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_tool("kexec")
        program = guests.built("kexec_load_fails", "programs/kexec_load_fails.c", "-static")
        copies = (image.Copy(program, f"{image.GUEST_BIN}/kexec_load_fails"),)
        cls.start("kexec_memory.sh", "kexec-memory", "64M", "faults", kexec=True, smp=1, copies=copies)

    def test_each_either_failed_or_loaded(self) -> None:
        ran = self.out.ran("loads")
        self.assertEqual(ran.status, 0, ran)
        failed, succeeded = (int(word) for word in ran.stdout.split() if word.isdigit())
        self.assertGreater(failed, 10)
        self.assertGreater(succeeded, 0)
        self.assertEqual(self.out.kernel("before"), self.out.kernel("after"))

    def test_the_list_is_carried_over_whole(self) -> None:
        self.check_files(self.check_whole_log(), {"first": 50, "second": 50})


class FinalSnapshot(unittest.TestCase):
    """The TPM fails during the final snapshot: the store gets a copy of the list, and the next kernel counts the loss."""

    out: ClassVar[Out]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        guests.need_tool("kexec")
        library = guests.built("tpm_faults.so", "shim/tpm_faults.c", "-shared", "-fPIC", "-ldl", host=True)
        tpm = TpmSpec(banks=BANKS, preload=library, env={"IMA_FAULTS": "lost"})
        guest = guests.spec("final.sh", "final", tpm=tpm, disk="64M", kexec=True, smp=1)
        cls.out = Out(guests.boot(guest).out)

    def test_it_fails_and_leaves_a_copy_of_the_list(self) -> None:
        ran, end = self.out.ran("final"), self.out.kernel("end")
        self.assertEqual((ran.status, ran.error["errno"]), (1, errno.EIO), ran)
        self.assertEqual((end.attempts, end.purges), (0, 0))
        self.assertEqual((self.out / "store/boots/00000001/00000001.list").read_bytes(), end.log)

    def test_the_next_kernel_counts_what_was_lost(self) -> None:
        end, carried = self.out.kernel("end"), self.out.kernel("carried")
        lost = end.count - (carried.count - 1)  # without its boot_aggregate
        self.assertGreater(lost, 0)
        taken = self.out.ran("take")
        self.assertEqual(taken.status, 0, taken)
        self.assertEqual(taken.json["events"], [{"event": "records_lost", "number": lost}])
        self.assertEqual(self.out.ran("again").json["events"], [])

    def test_verification_reports_the_loss(self) -> None:
        ran = self.out.ran("verify-json")
        self.assertEqual(ran.status, 3, ran)
        self.assertEqual(ran.json["mismatch"]["cause"], "aggregate_pcr")
