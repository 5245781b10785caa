# SPDX-License-Identifier: GPL-2.0-or-later
"""evmctl's opinion on a log, believed only as far as it deserves.

evmctl exits 0 when it could read no PCR at all, and at the first prefix of the
log that matches. So its status alone says nothing: see accepts().
"""

from __future__ import annotations

import re
import shutil
import subprocess
import unittest
from dataclasses import dataclass
from pathlib import Path

BANKS = ("sha1", "sha256")  # those that it replays


def need_evmctl() -> None:
    if shutil.which("evmctl") is None:
        raise unittest.SkipTest("evmctl is not installed; run 'make deps'")


@dataclass(frozen=True)
class Verdict:
    status: int
    text: str

    def accepts(self, bank: str, pcr: int, records: int) -> bool:
        """Whether the replay of exactly RECORDS records is the PCR."""
        matched = re.search(r"^Matched per TPM bank calculated digest\(s\)\.$", self.text, re.MULTILINE)
        at = re.search(rf"^{bank}: *PCR-{pcr:02d}: *succeed at entry {records}$|"
                       rf"^{bank} PCR-{pcr:02d}: succeed at entry {records}$", self.text, re.MULTILINE)  # fmt: skip
        return self.status == 0 and matched is not None and at is not None


def evmctl(log: Path, bank: str, pcrs: Path) -> Verdict:
    """What 'evmctl ima_measurement' says about LOG against the PCRs in a file."""
    argv = ["evmctl", "-v", "ima_measurement", "--ignore-violations", f"--verify-bank={bank}",
            "--pcrs", f"{bank},{pcrs}", str(log)]  # fmt: skip
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    return Verdict(done.returncode, done.stdout + done.stderr)
