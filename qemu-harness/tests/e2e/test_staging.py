# SPDX-License-Identifier: GPL-2.0-or-later
"""On a stock kernel, the same commands use staging and lose no record."""

from __future__ import annotations

import unittest
from collections import Counter
from pathlib import Path
from typing import ClassVar

from e2e import guests
from e2e.guests import MEASURED_PCR, Out
from e2e.test_faults import Scenario
from e2e.test_view import in_bank
from imaharness import evmctl, imalog
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
SNAPSHOTS = 3
KILLS = 12
KILLED = 128 + 9


class Staging(unittest.TestCase):
    out: ClassVar[Out]
    stitched: ClassVar[bytes]
    log: ClassVar[list[imalog.Record]]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        guest = guests.spec("staging.sh", "staging", flavour="stock", tpm=TpmSpec(banks=BANKS), disk="64M")
        cls.out = Out(guests.boot(guest).out)
        ran = cls.out.ran("cat")
        if ran.status != 0:
            raise AssertionError(f"ima-snapshot cat: {ran}")
        cls.stitched = ran.stdout
        cls.log = list(imalog.records(cls.stitched))

    def live(self, name: str = "ima") -> bytes:
        return (self.out / name / "binary_runtime_measurements").read_bytes()

    def test_status_says_staging_and_why(self) -> None:
        ran = self.out.ran("status")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(ran.json["backend"], "staging")
        self.assertIn("CONFIG_IMA_SNAPSHOT", ran.json["why"])  # the hint what to enable
        self.assertEqual(ran.json["kernel"]["staged"], {"records": 0, "bytes": 0})

    def test_a_marker_is_refused(self) -> None:
        ran = self.out.ran("mark")
        self.assertEqual(ran.status, 1, ran)
        self.assertEqual(ran.error["cause"], "no_mark")

    def test_each_snapshot_succeeds(self) -> None:
        last = 0
        for number in range(1, SNAPSHOTS + 1):
            ran = self.out.ran(f"take{number}")
            self.assertEqual(ran.status, 0, ran)
            segment = ran.json["segment"]
            self.assertIsNone(segment["attempt"])
            self.assertEqual((segment["segment"], segment["first_record"]), (number, last + 1))
            last = segment["last_record"]

    def test_records_left_staged_are_stored(self) -> None:
        staged = self.out.ran("status-staged").json["kernel"]["staged"]
        self.assertGreaterEqual(staged["records"], 50)
        ran = self.out.ran("left")
        self.assertEqual(ran.status, 0, ran)
        self.assertIn(f"found {staged['records']} staged records", ran.stderr)

    def test_some_were_killed_at_work_and_the_next_succeeded(self) -> None:
        statuses = [int((self.out / f"kill{n}.status").read_text()) for n in range(1, KILLS + 1)]
        self.assertLessEqual(set(statuses), {0, KILLED})
        self.assertIn(KILLED, statuses)
        for name in ("after", "last"):
            ran = self.out.ran(name)
            self.assertEqual(ran.status, 0, ran)

    def test_an_open_reader_is_named_and_nothing_changes(self) -> None:
        ran = self.out.ran("held")
        self.assertEqual(ran.status, 1, ran)
        self.assertEqual(ran.error["cause"], "busy")
        self.assertEqual(self.out.ran("held-cat").status, 0)
        self.assertEqual(self.live("held.before"), self.live("held.after"))
        before, after = ((self.out / f"held.store-{when}").read_text() for when in ("before", "after"))
        self.assertEqual(before, after)
        released = self.out.ran("released")
        self.assertEqual(released.status, 0, released)
        self.assertEqual(released.json["segment"]["records"], 20)

    def test_stitched_log_is_the_segments_and_the_live_list(self) -> None:
        segments = [f.read_bytes() for f in self.out.segments()]
        self.assertGreater(len(segments), SNAPSHOTS + 2)
        self.assertEqual(self.stitched, b"".join(segments) + self.live())

    def test_live_records_are_numbered_on(self) -> None:
        ran = self.out.ran("show-live")
        self.assertEqual(ran.status, 0, ran)
        self.assertIn(f'"record":{len(self.log)},'.encode(), ran.stdout.splitlines()[-1])

    def test_no_record_is_lost_or_stored_twice(self) -> None:
        expected: Counter[str] = Counter()
        for worker in (self.out / "workers").iterdir():
            files = int(worker.read_text())
            self.assertGreater(files, 0, worker.name)
            expected.update({f"/load/{worker.name}/{n}": 1 for n in range(1, files + 1)})
        for directory in ("held", "end"):
            expected.update({f"/load/{directory}/{n}": 1 for n in range(1, 21)})
        files_seen = Counter(
            r.event for r in self.log if r.event.startswith("/load/") and "/violations/" not in r.event
        )
        self.assertEqual(files_seen, expected)
        self.assertEqual([r.event for r in self.log if r.is_aggregate], [])

    def test_replay_is_the_pcr_in_every_bank(self) -> None:
        replay = imalog.Replay(BANKS)
        for record in self.log:
            replay.add(record)
        for bank, values in self.out.pcrs().values.items():
            self.assertEqual(replay.banks[bank][MEASURED_PCR].hex(), values[MEASURED_PCR].hex(), bank)

    def test_our_verifier_agrees_with_the_tpm(self) -> None:
        ran = self.out.ran("verify-json")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(ran.json["matched_record"], len(self.log))

    def test_evmctl_accepts_the_stitched_log_and_not_the_remainder(self) -> None:
        guests.need_tool("evmctl")
        pcrs = self.out.pcrs().files["sha256"]
        whole, rest = Path(self.out / "whole.bin"), Path(self.out / "rest.bin")
        whole.write_bytes(self.stitched)
        rest.write_bytes(self.live())
        verdict = evmctl.judge(whole, "sha256", pcrs)
        self.assertTrue(verdict.accepts("sha256", MEASURED_PCR, len(self.log)), verdict)
        verdict = evmctl.judge(rest, "sha256", pcrs)
        self.assertIsNone(verdict.matched_at("sha256", MEASURED_PCR), verdict)

    def test_nothing_is_left_over(self) -> None:
        names = [f.name for f in (self.out / "store").rglob("*") if f.suffix not in ("", ".ima", ".json")]
        self.assertEqual(names, [])


class Services(Scenario):
    """Daemon and view under load."""

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program("ima-snapshotd")
        cls.start("services.sh", "staging-services", disk="64M", flavour="stock", copies=(guests.setpriv(),))

    def view(self, name: str) -> bytes:
        return (self.out / "view" / name).read_bytes()

    def test_memory_is_bounded_though_the_daemon_was_killed(self) -> None:
        live = (self.out / "ima" / "binary_runtime_measurements").read_bytes()
        self.assertLess(len(list(imalog.records(live))), 200)
        self.assertGreaterEqual(len(self.out.segments()), 4)
        self.assertEqual((self.out / "daemon.log").read_text().count(": a snapshot at"), 4)

    def test_the_view_is_the_whole_log(self) -> None:
        whole = self.out.ran("cat").stdout
        log = list(imalog.records(whole))
        self.assertEqual(self.view("binary_runtime_measurements"), whole)
        self.assertEqual(self.view("ascii_runtime_measurements"), self.out.ran("cat-ascii").stdout)
        self.assertEqual(self.view("binary_runtime_measurements_sha256"), in_bank(log, "sha256"))
        self.assertEqual(self.view("runtime_measurements_count"), b"%d\n" % len(log))

    def test_a_reader_with_an_old_descriptor_sees_every_record_once(self) -> None:
        self.assertEqual((self.out / "held").read_bytes(), self.out.ran("cat").stdout)

    def test_no_record_is_lost_or_stored_twice(self) -> None:
        measured = {f.name: int(f.read_text()) for f in (self.out / "workers").iterdir()}
        self.assertEqual(len(measured), 4)
        self.check_files(self.check_replay(), measured)
        self.assertEqual(self.out.leftovers(), [])
