# SPDX-License-Identifier: GPL-2.0-or-later
"""Verification that resumes where it ended, discarding what it verified, and a copied store on another machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

from e2e import guests
from e2e.guests import Out
from imaharness import image, imalog
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
SNAPSHOTS = 3
FAILED, MISMATCH, CANNOT_CHECK = 1, 3, 4


class State(unittest.TestCase):
    out: ClassVar[Out]
    segments: ClassVar[list[Any]]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        guest = guests.spec("state.sh", "state", tpm=TpmSpec(banks=BANKS), disk="64M")
        cls.out = Out(guests.boot(guest).out)
        cls.segments = cls.out.ran("list").json["segments"]

    def verified(self, name: str) -> Any:
        ran = self.out.ran(name)
        self.assertEqual(ran.status, 0, ran)
        return ran.json

    def test_each_run_reads_only_what_is_new(self) -> None:
        before = 0
        for number in range(1, SNAPSHOTS + 1):
            report = self.verified(f"verify{number}")
            segment = self.segments[number - 1]
            self.assertEqual(report["state"]["records_before"], before)
            self.assertEqual(report["records_read"], report["records"] - before)
            self.assertEqual(report["records_read"], segment["last_record"] - before + report["live_records"])
            self.assertEqual(report["matched_record"], report["records"])
            self.assertEqual(report["state"]["segment"], number)
            self.assertEqual(report["state"]["records"], segment["last_record"])
            before = segment["last_record"]

    def test_the_full_verification_says_the_same(self) -> None:
        full, stateful = self.verified("verify-json"), self.verified(f"verify{SNAPSHOTS}")
        for name in ("records", "live_records", "segments", "aggregates", "violations", "banks", "matched_record"):
            self.assertEqual(full[name], stateful[name], name)
        self.assertGreater(full["violations"], 0)

    def test_with_never_nothing_goes(self) -> None:
        ran = self.out.ran("gc-never")
        self.assertEqual(ran.status, FAILED, ran)
        self.assertEqual(ran.error["cause"], "discard_forbidden")
        listed = self.out.ran("list-never").json["segments"]
        self.assertEqual([s["discarded"] or s["missing"] for s in listed], [False] * SNAPSHOTS)

    def test_what_was_verified_goes_but_for_the_last_segment(self) -> None:
        ran = self.out.ran("gc")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual([s["segment"] for s in ran.json["discarded"]], [1, 2])
        listed = self.out.ran("list-after").json["segments"]
        self.assertEqual([s["discarded"] for s in listed], [True, True, False])
        self.assertEqual([s["missing"] for s in listed], [False] * SNAPSHOTS)
        status = self.out.ran("status-after").json
        self.assertEqual((status["discard"], status["store"]["discarded"]), ("verified", 2))

    def test_who_needs_the_beginning_refuses_before_anything_is_printed(self) -> None:
        for name in ("cat-refused", "verify-refused"):
            ran = self.out.ran(name)
            self.assertEqual((ran.status, ran.stdout), (CANNOT_CHECK, b""), ran)
            self.assertEqual((ran.error["cause"], ran.error["segment"]), ("segment_discarded", 2))

    def test_the_rest_can_be_read_and_verified(self) -> None:
        ran = self.out.ran("cat-rest")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(ran.stdout, self.out.segments()[-1].read_bytes() + self.out.kernel().log)
        report = self.verified("verify-rest")
        self.assertEqual(report["matched_record"], len(list(imalog.records(self.out.ran("cat").stdout))))

    def test_damaged_state_is_refused_with_what_to_do(self) -> None:
        ran = self.out.ran("verify-damaged")
        self.assertEqual((ran.status, ran.stdout), (CANNOT_CHECK, b""), ran)
        self.assertEqual((ran.error["cause"], ran.error["file"]), ("state_damaged", "/tmp/damaged"))

    def test_the_store_goes_on(self) -> None:
        self.assertEqual(self.out.ran("take4").status, 0, self.out.ran("take4"))
        report = self.verified("verify4")
        self.assertEqual(report["state"]["segment"], SNAPSHOTS + 1)
        ran = self.out.ran("gc4")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual([s["segment"] for s in ran.json["discarded"]], [SNAPSHOTS])

    def on_the_host(self, directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
        pcrs = [word for f in self.out.pcrs().files.values() for word in ("--pcrs", str(f))]
        command = [str(image.project_programs()["ima-snapshot"]), "verify", "--json", "--from-dir", str(directory)]
        return subprocess.run([*command, *more, *pcrs], capture_output=True, text=True, check=False)

    def test_copied_store_is_verified_on_the_host(self) -> None:
        live = str(self.out / "ima" / "binary_runtime_measurements")
        with tempfile.TemporaryDirectory(prefix="ima-e2e-") as temporary:
            copy = Path(temporary) / "store"
            shutil.copytree(self.out / "store", copy, symlinks=True)
            total = len(list(imalog.records(self.out.ran("cat").stdout)))
            ran = self.on_the_host(copy, "--live", live)
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            self.assertEqual(json.loads(ran.stdout)["matched_record"], total)
            # The state file of the guest works here, too.
            state = Path(temporary) / "state"
            shutil.copy(self.out / "state", state)
            state.chmod(0o600)
            ran = self.on_the_host(copy, "--live", live, "--state", str(state))
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            report = json.loads(ran.stdout)
            self.assertEqual(report["state"]["records_before"], self.segments[-1]["last_record"])
            self.assertEqual(report["records_read"], report["live_records"])
            # Without the list the log does not reach the PCRs.
            ran = self.on_the_host(copy)
            self.assertEqual(ran.returncode, MISMATCH, ran.stdout + ran.stderr)
            self.assertFalse(json.loads(ran.stdout)["live"])
            # A changed copy is refused, and the message names the place.
            (session,) = (copy / "boots").iterdir()
            segment = session / "00000002.ima"
            data = bytearray(segment.read_bytes())
            data[7] ^= 1
            segment.write_bytes(data)
            ran = self.on_the_host(copy, "--live", live)
            self.assertEqual(ran.returncode, MISMATCH, ran.stdout + ran.stderr)
            found = json.loads(ran.stdout)["mismatch"]
            self.assertEqual((found["segment"], found["record"]), (2, self.segments[1]["first_record"]))
            self.assertEqual((len(found["expected"]), len(found["found"])), (40, 40), found)
