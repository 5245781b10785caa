# SPDX-License-Identifier: GPL-2.0-or-later
"""evmctl's opinion on a log, believed only as far as it deserves.

evmctl exits 0 when it could read no PCR at all, and at the first prefix of the
log that matches. So its status alone says nothing: see Verdict.accepts().
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

BANKS = ("sha1", "sha256")  # those that it replays


@dataclass(frozen=True)
class Verdict:
    """How evmctl ended and what it printed."""

    status: int
    text: str

    def matched_at(self, bank: str, pcr: int) -> int | None:
        """The number of records that evmctl found to lead to the PCR; None if it refuses the log."""
        matched = re.search(r"^Matched per TPM bank calculated digest\(s\)\.$", self.text, re.MULTILINE)
        at = re.search(rf"^{bank} PCR-{pcr:02d}: succeed at entry (\d+)$", self.text, re.MULTILINE)
        return int(at[1]) if self.status == 0 and matched and at else None

    def accepts(self, bank: str, pcr: int, records: int) -> bool:
        """Whether the replay of exactly RECORDS records is the PCR."""
        return self.matched_at(bank, pcr) == records


def judge(log: Path, bank: str, pcrs: Path) -> Verdict:
    """What 'evmctl ima_measurement' says about LOG against the PCRs in a file, PCR-00 to PCR-23."""
    argv = ["evmctl", "-v", "ima_measurement", "--ignore-violations", f"--verify-bank={bank}"]
    argv += ["--pcrs", f"{bank},{pcrs}", str(log)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    return Verdict(done.returncode, done.stdout + done.stderr)
