# SPDX-License-Identifier: GPL-2.0-or-later
"""evmctl's verdict on a log.

Its exit status alone proves nothing: evmctl also exits 0 if it could not read any
PCR, or if only a prefix of the log matches. See Verdict.accepts().
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

BANKS = ("sha1", "sha256")  # the banks that it replays


@dataclass(frozen=True)
class Verdict:
    """How evmctl ended and what it printed."""

    status: int
    text: str

    def matched_at(self, bank: str, pcr: int) -> int | None:
        """After how many records evmctl's replay matched the PCR; None if it refused the log."""
        matched = re.search(r"^Matched per TPM bank calculated digest\(s\)\.$", self.text, re.MULTILINE)
        at = re.search(rf"^{bank} PCR-{pcr:02d}: succeed at entry (\d+)$", self.text, re.MULTILINE)
        return int(at[1]) if self.status == 0 and matched and at else None

    def accepts(self, bank: str, pcr: int, records: int) -> bool:
        """Whether replaying exactly RECORDS records gives the PCR."""
        return self.matched_at(bank, pcr) == records


def judge(log: Path, bank: str, pcrs: Path) -> Verdict:
    """Run 'evmctl ima_measurement' on LOG. The file PCRS has the values of PCR-00 to PCR-23."""
    argv = ["evmctl", "-v", "ima_measurement", "--ignore-violations", f"--verify-bank={bank}"]
    argv += ["--pcrs", f"{bank},{pcrs}", str(log)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    return Verdict(done.returncode, done.stdout + done.stderr)
