# SPDX-License-Identifier: GPL-2.0-or-later
"""A TPM whose commands are logged, and a parser of the log (shim/tpm_shim.c describes its lines)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from . import paths, process
from .tpm import TpmSpec

_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")

GET_RANDOM = 0x17B
PCR_READ = 0x17E
PCR_EXTEND = 0x182
ALGORITHMS = {0x4: "sha1", 0xB: "sha256", 0xC: "sha384", 0xD: "sha512"}


class LogError(ValueError):
    """The log is not one that the shim writes; the text says where."""


@dataclass(frozen=True)
class Command:
    """One command that the TPM executed."""

    start: int  # nanoseconds
    end: int
    code: int
    response: int
    selection: Mapping[int, frozenset[int]] = field(default_factory=dict)  # TPM2_PCR_Read: bank, PCRs
    pcr: int | None = None  # TPM2_PCR_Extend
    algorithm: str = ""  # TPM2_PCR_Extend: of the first bank
    digest: bytes = b""
    mark: int | None = None  # TPM2_GetRandom: the number of bytes

    @property
    def pcrs(self) -> frozenset[int]:
        """The PCRs that a read selects in any bank."""
        return frozenset().union(*self.selection.values())


def _bits(bitmap: int) -> frozenset[int]:
    return frozenset(n for n in range(bitmap.bit_length()) if bitmap >> n & 1)


def _command(words: Sequence[str]) -> Command:
    start, end = int(words[0]), int(words[1])
    code, response = int(words[2], 16), int(words[3], 16)
    selection: dict[int, frozenset[int]] = {}
    pcr, mark, algorithm, digest = None, None, "", b""
    for detail in words[4:]:
        name, sign, value = detail.partition("=")
        if not sign:
            raise ValueError(f"{detail!r} has no value")
        if name == "select":
            bank, _, bitmap = value.partition(":")
            selection[int(bank, 16)] = _bits(int(bitmap, 16))
        elif name == "pcr":
            pcr = int(value)
        elif name == "digest":
            bank, _, text = value.partition(":")
            algorithm, digest = ALGORITHMS.get(int(bank, 16), ""), bytes.fromhex(text)
        elif name == "bytes":
            mark = int(value)
        else:
            raise ValueError(f"unknown detail {name!r}")
    if end < start:
        raise ValueError("it ended before it began")
    return Command(start, end, code, response, selection, pcr, algorithm, digest, mark)


def parse(lines: Iterable[str]) -> list[Command]:
    """The commands in the order of the log; LogError names a line that is not a command."""
    found: list[Command] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_command(line.split()))
        except (ValueError, IndexError) as e:
            raise LogError(f"line {number}: {line.strip()!r}: {e}") from e
    return found


def between_marks(commands: Sequence[Command], mark: int) -> list[Command]:
    """What was executed between the two marks with this number."""
    places = [i for i, c in enumerate(commands) if c.mark == mark]
    if len(places) != 2:
        raise LogError(f"{len(places)} marks with number {mark} instead of 2")
    return list(commands[places[0] + 1 : places[1]])


def count(commands: Iterable[Command], code: int) -> int:
    return sum(c.code == code for c in commands)


@dataclass(frozen=True)
class Series:
    """The commands of one snapshot, and those of others in between."""

    early_reads: int  # of PCRs that IMA does not extend
    ima_reads: int  # of IMA's PCR, perhaps with others, while the mutex is held
    foreign_early: int  # extends by other records between the first read and IMA's
    foreign_late: int  # any command between IMA's first read and the aggregate's extend
    hold: int  # nanoseconds from the beginning of IMA's read to the end of the extend
    busy: int  # of these, while the TPM executed a command


def snapshots(commands: Sequence[Command], aggregates: Set[bytes], ima_pcr: int = 10) -> Iterator[Series]:
    """Split COMMANDS into snapshots; each ends with the extend of its record.

    AGGREGATES holds the digests that snapshot_aggregate records extend.
    """
    early = ima_reads = foreign_early = foreign_late = busy = 0
    ima_start: int | None = None
    for c in commands:
        if c.code == PCR_READ and ima_pcr in c.pcrs:
            ima_reads += 1
            ima_start = c.start if ima_start is None else ima_start
            # A read of IMA's PCR together with others also happens under the mutex.
        elif c.code == PCR_EXTEND and c.digest in aggregates:
            hold = 0 if ima_start is None else c.end - ima_start
            yield Series(early, ima_reads, foreign_early, foreign_late, hold, busy + c.end - c.start)
            early = ima_reads = foreign_early = foreign_late = busy = 0
            ima_start = None
        elif ima_start is not None:
            foreign_late += 1
        elif c.code == PCR_READ:
            early += 1
        elif c.code == PCR_EXTEND and early:
            foreign_early += 1
        if ima_start is not None:
            busy += c.end - c.start


def build_shim() -> Path:
    """Build the library that is preloaded into swtpm."""
    shim = paths.BUILD / "shim" / "tpm_shim.so"
    shim.parent.mkdir(parents=True, exist_ok=True)
    process.output(["gcc", *_FLAGS, "-o", shim, paths.HARNESS / "shim" / "tpm_shim.c", "-ldl"])
    return shim


def shimmed_tpm(banks: Sequence[str], log: Path, delay_ms: int = 0, hang_ms: int = 0) -> TpmSpec:
    """A TPM whose commands are logged to LOG and take DELAY_MS longer; the first read of PCR 10 takes HANG_MS longer."""
    log.unlink(missing_ok=True)
    env = {"IMA_SHIM_LOG": str(log), "IMA_SHIM_DELAY_MS": str(delay_ms), "IMA_SHIM_HANG_MS": str(hang_ms)}
    return TpmSpec(banks=banks, preload=build_shim(), env=env)
