# SPDX-License-Identifier: GPL-2.0-or-later
"""Evidence of a guest, verified on the host by a verifier that keeps a state (RFC, section D.4)."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

from e2e import guests
from e2e.guests import Out
from imaharness import image, paths
from imaharness.tpm import TpmSpec

MISMATCH, CANNOT_CHECK = 3, 4
_SHIM = Path(__file__).parent / "shim" / "fleet"


@functools.cache
def recorded() -> Out:
    """What the guest sent; it is booted once."""
    guests.need_program()
    guest = guests.spec("evidence.sh", "evidence", tpm=TpmSpec(banks=("sha1", "sha256")), disk="64M")
    return Out(guests.boot(guest).out)


def manual_commands(page: str, section: str) -> list[str]:
    """The examples of a section of a manual page, as a shell reads them."""
    text = (paths.ROOT / "userspace" / "man" / page).read_text().split(f".SH {section}\n")[1].split("\n.SH ")[0]
    blocks = [block.split("\n.fi\n")[0] for block in text.split("\n.nf\n")[1:]]
    return [block.replace("\\-", "-").replace("\\e", "\\").replace("\\&", "") + "\n" for block in blocks]


class Evidence(unittest.TestCase):
    def setUp(self) -> None:
        self.out = recorded()
        kept = tempfile.TemporaryDirectory(prefix="ima-evidence-")
        self.addCleanup(kept.cleanup)
        self.state = Path(kept.name) / "state"

    def verify(self, name: str, nonce: str, state: bool = True, evidence: bytes | None = None) -> tuple[int, Any, Any]:
        """Exit status, result and error of a verifier that gets the file from a pipe."""
        argv: list[str | Path] = [image.project_programs()["ima-snapshot"], "verify", "--evidence", "-", "--json"]
        argv += ["--ak", self.out / "ak.pem", "--nonce", nonce]
        if state:
            argv += ["--state", self.state]
        given = self.out.ran(name).stdout if evidence is None else evidence
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
        self.assertLess(len(self.out.ran("new").stdout), len(self.out.ran("whole").stdout))

    def test_a_verifier_that_lost_its_state_asks_and_gets_all(self) -> None:
        status, _, error = self.verify("new", "03")
        self.assertEqual((status, error["cause"]), (CANNOT_CHECK, "evidence_too_late"))
        self.assertEqual(error["needs_after_attempt"], 0)
        status, result, error = self.verify("whole", "02")
        self.assertEqual(status, 0, error)
        self.assertEqual(result["segments"], 4)

    def test_discarded_segments_satisfy_only_a_state_that_covers_them(self) -> None:
        self.assertEqual(self.out.ran("gc").status, 0, self.out.ran("gc"))
        status, _, error = self.verify("discarded", "04", state=False)
        self.assertEqual((status, error["cause"]), (CANNOT_CHECK, "evidence_too_late"))
        self.assertEqual(self.verify("whole", "02")[0], 0)
        status, _, error = self.verify("discarded", "04")
        self.assertEqual(status, 0, error)

    def test_another_nonce_and_changed_records_are_refused(self) -> None:
        status, _, error = self.verify("all", "02", state=False)
        self.assertEqual((status, error["cause"]), (MISMATCH, "nonce"))
        changed = bytearray(self.out.ran("all").stdout)
        changed[changed.rindex(b"/load/between/7")] ^= 1
        status, _, error = self.verify("all", "01", state=False, evidence=bytes(changed))
        self.assertEqual((status, error["cause"]), (MISMATCH, "template_digest"))


class Fleet(unittest.TestCase):
    """The commands of ima-snapshot-verifiers(7), with a shim for ssh and the recorded evidence."""

    def setUp(self) -> None:
        self.out = recorded()
        if lacking := [name for name in ("parallel", "rsync", "jq") if not shutil.which(name)]:
            self.skipTest(f"not installed: {', '.join(lacking)}")
        kept = tempfile.TemporaryDirectory(prefix="ima-fleet-")
        self.addCleanup(kept.cleanup)
        self.fleet = Path(kept.name)
        script, self.on_this_machine, self.on_others = manual_commands("ima-snapshot-verifiers.7", "MANY MACHINES")
        (self.fleet / "attest").write_text(script)
        (self.fleet / "attest").chmod(0o755)
        (self.fleet / "hosts").write_text("one\ntwo\nthree\n")
        (self.fleet / "verifiers").write_text("1/verifier1\n1/verifier2\n")
        for host in ("one", "two", "three"):
            (self.fleet / host).mkdir()
            shutil.copy(self.out / "ak.pem", self.fleet / host / "ak.pem")
        for attempt, name in ((0, "all"), (2, "new")):
            (self.fleet / f"after-{attempt}").write_bytes(self.out.ran(name).stdout)

    def run_command(self, command: str, nonce: str) -> int:
        programs = image.project_programs()["ima-snapshot"].parent
        environment = {**os.environ, "FLEET": str(self.fleet), "NONCE": nonce, "HOME": str(self.fleet)}
        environment["PATH"] = f"{_SHIM}:{programs}:{os.environ['PATH']}"
        done = subprocess.run(["sh", "-c", command], cwd=self.fleet, env=environment, capture_output=True, check=False)
        return done.returncode

    def result(self, host: str) -> Any:
        return json.loads((self.fleet / host / "result").read_text())

    def make_older(self) -> None:
        """As if what is there were a minute old: rsync takes a file of the same size and second for unchanged."""
        for file in self.fleet.rglob("*"):
            os.utime(file, (file.stat().st_atime - 60, file.stat().st_mtime - 60))

    def job_log(self) -> list[tuple[str, int]]:
        """Verifier and exit status of each job."""
        lines = (self.fleet / "attest.log").read_text().splitlines()[1:]
        return [(line.split("\t")[1], int(line.split("\t")[6])) for line in lines]

    def test_here_and_then_only_what_is_new_on_other_verifiers(self) -> None:
        self.assertEqual(self.run_command(self.on_this_machine, "01"), 0)
        for host in ("one", "two", "three"):
            self.assertEqual(self.result(host)["records_read"], self.result(host)["records"])
        self.make_older()
        self.assertEqual(self.run_command(self.on_others, "03"), 0)
        self.assertEqual({verifier for verifier, _ in self.job_log()}, {"verifier1", "verifier2"})
        for host in ("one", "two", "three"):
            self.assertLess(self.result(host)["records_read"], self.result(host)["records"])

    def test_a_machine_with_another_key_fails_alone(self) -> None:
        subprocess.run(
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.fleet / "key"], check=True
        )
        subprocess.run(
            ["openssl", "ec", "-in", self.fleet / "key", "-pubout", "-out", self.fleet / "two" / "ak.pem"],
            check=True,
            capture_output=True,
        )
        self.assertEqual(self.run_command(self.on_this_machine, "01"), 1)
        self.assertEqual(sorted(status for _, status in self.job_log()), [0, 0, MISMATCH])
        self.assertFalse((self.fleet / "two" / "state").exists())
