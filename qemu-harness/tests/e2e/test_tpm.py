# SPDX-License-Identifier: GPL-2.0-or-later
"""If the TPM fails during a snapshot, the log still replays to its PCRs."""

from __future__ import annotations

import re
import unittest
from typing import Any

from e2e import guests
from e2e.guests import MEASURED_PCR, Kernel, Out
from imaharness import image, imalog
from imaharness.guest import GuestResult
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
PCR_EXTEND = "182"
# QEMU gives the TPM's interrupt only to a guest without ACPI.
_INTERRUPTS = ("acpi=off", "tpm_tis.force=1", "tpm_tis.interrupts=1")


def boot(faults: str, version: str, **options: Any) -> Out:
    """The results of tpm.sh with a TPM that has these FAULTS."""
    return Out(run(faults, version, "tpm.sh", {"FAULTS": faults}, **options).out)


def run(faults: str, version: str, scenario: str, env: dict[str, str], **options: Any) -> GuestResult:
    library = guests.built("tpm_faults.so", "shim/tpm_faults.c", "-shared", "-fPIC", "-ldl", host=True)
    banks = BANKS if version == "2.0" else ("sha1",)
    tpm = TpmSpec(version=version, banks=banks, preload=library, env={"IMA_FAULTS": faults})
    return guests.boot(guests.spec(scenario, f"tpm-{faults.replace(',', '-')}", tpm=tpm, env=env, **options))


class Aggregates(unittest.TestCase):
    """Checks of what each snapshot leaves."""

    out: Out

    def check_replay(self, name: str) -> None:
        replay = imalog.Replay(BANKS)
        for record in imalog.records(self.out.kernel(name).log):
            replay.add(record)
        for bank, values in self.out.pcrs(f"{name}.pcrs").values.items():
            self.assertEqual(replay.banks[bank][MEASURED_PCR].hex(), values[MEASURED_PCR].hex(), bank)

    def check_aggregates(self, before: Kernel, after: Kernel, added: int) -> None:
        """Check that ADDED aggregates were added, and that each counts the records before it."""
        self.assertEqual(after.attempts, before.attempts + added)
        log = list(imalog.records(after.log))
        found = [(imalog.aggregate(r), r.number) for r in log if r.is_aggregate]
        self.assertEqual([(a.attempt, a.record_count) for a, _ in found],
                         [(n, number - 1) for n, (_, number) in enumerate(found, 1)])  # fmt: skip
        self.assertEqual(len(found), after.attempts)


class Extend(Aggregates):
    """The TPM answers the extend of an aggregate with an error."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.out = boot("executed,lost,unread", "2.0")

    def test_executed_after_all_is_recorded(self) -> None:
        ran, before, after = self.out.ran("executed"), self.out.kernel("before"), self.out.kernel("executed")
        self.assertEqual((ran.status, ran.stdout), (0, before.log), ran)
        self.check_aggregates(before, after, 1)
        self.check_replay("executed")

    def test_not_executed_is_not_recorded(self) -> None:
        ran, before, after = self.out.ran("lost"), self.out.kernel("executed"), self.out.kernel("lost")
        self.assertNotEqual(ran.status, 0)
        self.assertEqual(ran.stdout, b"")
        self.assertIn("Input/output error", ran.stderr)
        self.check_aggregates(before, after, 0)
        self.check_replay("lost")

    def test_a_pcr_that_cannot_be_read_keeps_the_record(self) -> None:
        ran, before, after = self.out.ran("unread"), self.out.kernel("lost"), self.out.kernel("unread")
        self.assertNotEqual(ran.status, 0)
        self.assertEqual(ran.stdout, b"")
        self.assertIn("Input/output error", ran.stderr)
        self.check_aggregates(before, after, 1)
        self.check_replay("unread")

    def test_what_was_not_recorded_is_audited(self) -> None:
        wanted = {"executed": 0, "lost": 1, "unread": 1, "none": 0}
        audited = {f: (self.out / f"{f}.dmesg").read_text().count("op=add_snapshot_aggregate cause=TPM_error") for f in wanted}
        self.assertEqual(audited, wanted)

    def test_the_next_snapshot_is_as_any_other(self) -> None:
        ran, before, after = self.out.ran("none"), self.out.kernel("unread"), self.out.kernel("none")
        self.assertEqual(ran.status, 0, ran)
        self.assertTrue(ran.stdout.startswith(before.log))
        self.check_aggregates(before, after, 1)
        self.check_replay("none")


class Answer(Aggregates):
    """The TPM's answer to the read of the PCRs is malformed."""

    def test_it_is_refused_and_nothing_is_recorded(self) -> None:
        self.out = boot("garbled", "2.0")  # boot() fails if the kernel warned
        ran, before, after = self.out.ran("garbled"), self.out.kernel("before"), self.out.kernel("garbled")
        self.assertNotEqual(ran.status, 0)
        self.assertIn("Input/output error", ran.stderr)
        self.check_aggregates(before, after, 0)
        self.check_aggregates(after, self.out.kernel("none"), 1)
        self.check_replay("none")


class Late(Aggregates):
    """The TPM answers the read of the PCRs after three seconds. Programs whose files are measured wait for it."""

    def test_the_read_is_given_up_before_and_nothing_is_recorded(self) -> None:
        self.out = boot("late", "2.0")
        ran, before, after = self.out.ran("late"), self.out.kernel("before"), self.out.kernel("late")
        self.assertNotEqual(ran.status, 0)
        self.assertIn("Input/output error", ran.stderr)
        self.check_aggregates(before, after, 0)
        self.check_aggregates(after, self.out.kernel("none"), 1)
        self.check_replay("none")


class EachCommand(Aggregates):
    """Each command that a snapshot sends to the TPM fails in its turn, in every way."""

    TURNS = 16

    def check(self, kind: str) -> list[int]:
        """Run the turns; return the exit statuses of those in which a command failed."""
        result = run(f"turn-{kind}", "2.0", "tpm_turns.sh", {"TURNS": str(self.TURNS)})
        self.out = Out(result.out)
        failed = re.findall(r"tpm_faults: turn (\d+): command (\w+)", (result.directory / "swtpm.log").read_text())
        # Each command had its turn: the last turns had none left.
        self.assertEqual([int(turn) for turn, _ in failed], list(range(1, len(failed) + 1)))
        self.assertLess(len(failed), self.TURNS)
        self.assertIn(PCR_EXTEND, [code for _, code in failed])
        statuses = []
        before = self.out.kernel("0")
        for turn in range(1, self.TURNS + 1):
            ran, after = self.out.ran(str(turn)), self.out.kernel(str(turn))
            if ran.status == 0:
                self.assertTrue(ran.stdout.startswith(before.log), turn)
                self.check_aggregates(before, after, 1)
            else:
                self.assertIn("Input/output error", ran.stderr)
                # Only the last of them is the extend, which may have been executed; then the record stays.
                added = after.attempts - before.attempts
                self.assertIn(added, (0, 1) if turn == len(failed) else (0,), turn)
                self.check_aggregates(before, after, added)
            self.check_replay(str(turn))
            statuses.append(ran.status)
            before = after
        self.assertEqual(set(statuses[len(failed) :]), {0})
        return statuses[: len(failed)]

    def test_an_error_and_nothing_was_executed(self) -> None:
        self.assertNotIn(0, self.check("error"))

    def test_an_error_though_it_was_executed(self) -> None:
        statuses = self.check("lost")
        self.assertEqual(statuses.pop(), 0)  # the extend, which the read after it shows
        self.assertNotIn(0, statuses)

    def test_an_answer_without_its_contents(self) -> None:
        self.check("short")

    def test_a_request_to_send_it_again(self) -> None:
        self.assertEqual(set(self.check("retry")), {0})

    def test_no_answer_in_time(self) -> None:
        # The read after the extend may get its answer in time, and show that it was executed.
        self.assertNotIn(0, self.check("hang")[:-1])


class Exit(Aggregates):
    """The process that opens the snapshot ends during the extend, which tpm_tis must still complete."""

    def test_the_extend_goes_on_and_is_recorded(self) -> None:
        program = guests.built("exit_amid_open", "programs/exit_amid_open.c", "-static")
        copy = image.Copy(program, f"{image.GUEST_BIN}/exit_amid_open")
        self.out = boot("slow", "2.0", append=_INTERRUPTS, copies=[copy], kill_on="tpm.sh has ended")
        self.assertEqual(self.out.ran("slow").status, 7)
        self.check_aggregates(self.out.kernel("before"), self.out.kernel("slow"), 1)
        self.check_replay("slow")
        self.check_aggregates(self.out.kernel("slow"), self.out.kernel("none"), 1)
        self.check_replay("none")


class SixteenPcrs(unittest.TestCase):
    """A TPM 1.1b may have only 16 PCRs."""

    def test_the_aggregate_lists_those_that_there_are(self) -> None:
        out = boot("pcrs16", "1.2")
        ran, before, after = out.ran("pcrs16"), out.kernel("before"), out.kernel("pcrs16")
        self.assertEqual((ran.status, ran.stdout), (0, before.log), ran)
        (record,) = (r for r in imalog.records(after.log) if r.is_aggregate)
        listed = imalog.aggregate(record).pcrs
        self.assertEqual(list(listed), [("sha1", pcr) for pcr in range(16)])
        replay = imalog.Replay(("sha1",))
        for earlier in imalog.records(before.log):
            replay.add(earlier)
        self.assertEqual(replay.banks["sha1"][MEASURED_PCR], listed["sha1", MEASURED_PCR])
