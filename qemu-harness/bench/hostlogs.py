# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs of any size on the host, in the forms that ima-snapshot and evmctl read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imaharness import evmctl, process
from imaharness.errors import HarnessError

_PCR = 10
_SEGMENTS = 10
_LIVE = 1  # the aggregate of the last snapshot: a checkpoint covers the rest
LATER = 1000  # records that are measured after the others
_SEED = 1


@dataclass(frozen=True)
class HostLog:
    """A store, a kernel's directory and PCR files of one machine."""

    records: int
    banks: Sequence[str]
    directory: Path

    @property
    def whole(self) -> Path:
        """All segments and the kernel's list in one file, as evmctl wants it."""
        return self.directory / "log.bin"

    @property
    def parts(self) -> list[Path]:
        segments = sorted((self.directory / "store/boots/00000001").glob("*.ima"))
        return [*segments, self.directory / "securityfs/ima/binary_runtime_measurements"]

    def options(self, later: bool = False) -> list[str]:
        """The options that make ima-snapshot use this log."""
        kernel = self.directory / "later" if later else self.directory
        return ["--store", f"{self.directory}/store", "--securityfs", f"{kernel}/securityfs"]

    def pcrs(self, later: bool = False) -> list[str]:
        kernel = self.directory / "later" if later else self.directory
        return [o for bank in self.banks for o in ("--pcrs", f"{kernel}/pcr-{bank}")]

    def evmctl(self, *, log: Path | None = None, verbose: bool = False) -> list[str]:
        """evmctl's command line. Not verbose by default: with -v it spends most of its time on printing records."""
        argv = ["evmctl", *(["-v"] if verbose else []), "ima_measurement", "--ignore-violations"]
        if len(self.banks) == 1:
            argv.append(f"--verify-bank={self.banks[0]}")
        for bank in self.banks:
            argv += ["--pcrs", f"{bank},{self.directory}/pcr-{bank}"]
        return [*argv, str(log or self.whole)]


def make(programs: Path, directory: Path, records: int, banks: Sequence[str]) -> HostLog:
    """Make a new log. The same options always give the same log."""
    shutil.rmtree(directory, ignore_errors=True)
    argv = [programs / "make_log", directory, f"--records={records}", f"--segments={_SEGMENTS}", f"--live={_LIVE}"]
    argv += [f"--later={LATER}", f"--banks={','.join(banks)}", f"--seed={_SEED}"]
    process.output(list(map(str, argv)))
    log = HostLog(records, banks, directory)
    with log.whole.open("wb") as out:
        for part in log.parts:
            with part.open("rb") as f:
                shutil.copyfileobj(f, out, 1 << 20)
    return log


def check_referee(log: HostLog) -> None:
    """Check that evmctl replays the whole log to the PCRs; else its times mean nothing.

    It stops at the first prefix that matches. So it must refuse the log without
    its last record, and accept the whole one.
    """
    last = _last_record(log.parts[-1])
    shorter = log.directory / "shorter.bin"
    shutil.copyfile(log.whole, shorter)
    with shorter.open("r+b") as f:
        f.truncate(log.whole.stat().st_size - last)
    refused, accepted = (_judge(log.evmctl(log=path)) for path in (shorter, log.whole))
    shorter.unlink()
    if refused.status == 0:
        raise HarnessError(f"{log.whole}: evmctl accepts it without its last record")
    if accepted.status != 0 or "Matched per TPM bank calculated digest(s)." not in accepted.text:
        raise HarnessError(f"{log.whole}: evmctl refuses it: exit {accepted.status}")
    if log.records <= 10_000:  # so few that evmctl prints them quickly
        verdict = _judge(log.evmctl(verbose=True))
        for bank in log.banks:
            if not verdict.accepts(bank, _PCR, log.records):
                raise HarnessError(f"{log.whole}: evmctl does not match {bank} at entry {log.records}")


def _judge(argv: Sequence[str]) -> evmctl.Verdict:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    return evmctl.Verdict(done.returncode, done.stdout + done.stderr)


def _last_record(path: Path) -> int:
    """The length of the last record of a list."""
    data = path.read_bytes()
    at = length = 0
    while at < len(data):
        start = at
        at += 4 + 20
        for _ in range(2):  # the template's name and its data
            at += 4 + int.from_bytes(data[at : at + 4], "little")
        length = at - start
    return length
