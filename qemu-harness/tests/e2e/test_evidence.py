# SPDX-License-Identifier: GPL-2.0-or-later
"""Evidence of a guest, verified on the host by a verifier that keeps a state (RFC, section D.4)."""

from __future__ import annotations

import json
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar

from e2e import guests
from e2e.guests import Out
from imaharness import image
from imaharness.tpm import TpmSpec

MISMATCH, CANNOT_CHECK = 3, 4


class Evidence(unittest.TestCase):
    out: ClassVar[Out]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        guest = guests.spec("evidence.sh", "evidence", tpm=TpmSpec(banks=("sha1", "sha256")), disk="64M")
        cls.out = Out(guests.boot(guest).out)

    def setUp(self) -> None:
        kept = tempfile.TemporaryDirectory(prefix="ima-evidence-")
        self.addCleanup(kept.cleanup)
        self.state = Path(kept.name) / "state"

    def verify(self, name: str, nonce: str, state: bool = True, evidence: bytes | None = None) -> tuple[int, Any, Any]:
        """Exit status, result and error of a verifier that gets the file from a pipe."""
        argv: list[str | Path] = [image.project_programs()["ima-snapshot"], "verify", "--evidence", "-", "--json"]
        argv += ["--ak", self.out / "ak.pem", "--nonce", nonce]
        if state:
            argv += ["--state", self.state]
        given = self.out.told(name).stdout if evidence is None else evidence
        done = subprocess.run(argv, input=given, capture_output=True, check=False)
        errors = done.stderr.splitlines()
        return (
            done.returncode,
            json.loads(done.stdout) if done.stdout else None,
            json.loads(errors[-1])["error"] if errors else None,
        )

    def test_the_whole_log_and_then_only_what_is_new(self) -> None:
        status, first, error = self.verify("all", "01")
        self.assertEqual(status, 0, error)
        self.assertEqual((first["segments"], first["matched_record"]), (2, first["records"]))
        status, then, error = self.verify("new", "03")
        self.assertEqual(status, 0, error)
        self.assertEqual(then["records_read"], then["records"] - first["state"]["records"])
        self.assertLess(len(self.out.told("new").stdout), len(self.out.told("whole").stdout))

    def test_a_verifier_that_lost_its_state_asks_and_gets_all(self) -> None:
        status, _, error = self.verify("new", "03")
        self.assertEqual((status, error["cause"]), (CANNOT_CHECK, "evidence_too_late"))
        self.assertEqual(error["needs_after_attempt"], 0)
        status, result, error = self.verify("whole", "02")
        self.assertEqual(status, 0, error)
        self.assertEqual(result["segments"], 4)

    def test_discarded_segments_satisfy_only_a_state_that_covers_them(self) -> None:
        self.assertEqual(self.out.told("gc").status, 0, self.out.told("gc"))
        status, _, error = self.verify("discarded", "04", state=False)
        self.assertEqual((status, error["cause"]), (CANNOT_CHECK, "evidence_too_late"))
        self.assertEqual(self.verify("whole", "02")[0], 0)
        status, _, error = self.verify("discarded", "04")
        self.assertEqual(status, 0, error)

    def test_another_nonce_and_changed_records_are_refused(self) -> None:
        status, _, error = self.verify("all", "02", state=False)
        self.assertEqual((status, error["cause"]), (MISMATCH, "nonce"))
        changed = bytearray(self.out.told("all").stdout)
        changed[changed.rindex(b"/load/between/7")] ^= 1
        status, _, error = self.verify("all", "01", state=False, evidence=bytes(changed))
        self.assertEqual((status, error["cause"]), (MISMATCH, "template_digest"))
