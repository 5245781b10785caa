# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the FUSE view of a long log is read, compared with plain files and with a bare FUSE server.

It is read from memory, from the disk, and by evmctl as an example of an unmodified reader.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from imaharness import process
from imaharness.errors import HarnessError

from . import host, hostlogs
from .guests import Setup
from .host import Figures
from .hostlogs import HostLog
from .tables import Outcome, Table, Target

_RECORDS = 1_000_000
_FILES = (
    "binary_runtime_measurements",
    "ascii_runtime_measurements",
    "binary_runtime_measurements_sha256",
)
_WRITTEN = 256 << 10  # kPiece of src/store/segment_writer.cc
_READ = ("plain", "bare FUSE", "view")
_TIMES = 3
_SLOWER_AT_MOST = 3.0
_MOUNTED_WITHIN = 60.0  # seconds
# How long an idle CPU of a virtual machine polls before it halts. Then its host has to wake it.
_HALT_POLL = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")


@dataclass(frozen=True)
class Pattern:
    """How a file is read. 1 MiB is st_blksize of the view's files; cat reads at least 128 KiB at once."""

    name: str
    size: int
    reads: int = 0  # how many at offsets; 0: read the whole file in order

    def options(self) -> list[str]:
        return [f"--size={self.size}", *([f"--at-offsets={self.reads}"] if self.reads else [])]


_PATTERNS = (
    Pattern("in order, 128 KiB", 128 << 10),
    Pattern("at offsets, 128 KiB", 128 << 10, 1000),
    Pattern("at offsets, 1 MiB", 1 << 20, 200),
    Pattern("at offsets, 4 KiB", 4 << 10, 10_000),
)
_PROMISED = _PATTERNS[1:3]
_KEPT = 1 << 20  # bytes of a file that may stay in memory: the kernel itself reads some


@dataclass(frozen=True)
class Placement:
    """On which CPUs the server and the reader run.

    Each read wakes the server and then the reader. On one CPU neither waits for an
    idle CPU to wake up, for which a virtual machine needs its host. Then the times
    are those of FUSE alone.
    """

    name: str
    prefix: Sequence[str] = ()


_ANY_CPU = Placement("any")


def measure(setup: Setup) -> Outcome:
    del setup  # no guest
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        raise HarnessError("the view needs root and /dev/fuse")
    directory = host.LOGS / "view"
    log = hostlogs.make(host.BUILD / "bench", directory, _RECORDS, ("sha1", "sha256"))
    outcome = Outcome("view", figures={"records": _RECORDS, "times": _TIMES, "files": []})
    if _HALT_POLL.exists():
        outcome.figures["halt_poll_ns"] = int(_HALT_POLL.read_text())
    one = Placement("one", ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))))
    for placement, files, patterns in ((_ANY_CPU, _FILES, _PATTERNS), (one, _FILES[:1], _PROMISED)):
        with _view(log, placement) as (view, seconds):
            outcome.figures.setdefault("mount_seconds", seconds)
            for name in files:
                outcome.figures["files"] += _read(log, view / name, patterns, placement)
    outcome.figures["evmctl"] = _evmctl(log)
    # Last, because pages that were read from the disk one by one are slower to copy.
    outcome.figures["disk"] = [_from_disk(log, pattern) for pattern in _PROMISED]
    shutil.rmtree(directory)
    outcome.tables = [_table(outcome.figures), _evmctl_table(outcome.figures), _disk_table(outcome.figures)]
    outcome.targets = [*map(_disk_target, outcome.figures["disk"])]
    outcome.targets += [
        _target(outcome.figures["files"], pattern, placement)
        for placement in (_ANY_CPU, one)
        for pattern in _PROMISED
    ]
    return outcome


def _from_disk(log: HostLog, pattern: Pattern) -> Figures:
    """Read the view and a plain file of the same bytes, neither of them in memory. Mount the view again each time."""
    rates = []
    for _ in range(_TIMES):
        _evict(log.whole)
        plain = _rate(log.whole, pattern, _ANY_CPU)
        with _view(log, _ANY_CPU) as (view, _):
            for part in log.parts:
                _evict(part)
            rates.append((plain, _rate(view / _FILES[0], pattern, _ANY_CPU)))
    plain, viewed = (median(of) for of in zip(*rates, strict=True))
    return {"pattern": pattern.name, "plain": plain, "view": viewed}


def _evict(file: Path) -> None:
    """Drop the file's pages from the page cache."""
    with file.open("rb") as f:
        os.fsync(f)  # dirty pages would stay
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    kept = int(process.output(["fincore", "--bytes", "--noheadings", "--output", "RES", str(file)]))
    if kept > _KEPT:
        raise HarnessError(f"{kept} bytes of {file} stay in memory: {host.LOGS} must be on a disk")


def _evmctl(log: HostLog) -> Figures:
    """Seconds that evmctl takes for the whole log, from a plain file and from the view."""
    with _view(log, _ANY_CPU) as (view, _):
        files = {"plain": log.whole, "view": view / _FILES[0]}
        runs = [{of: host.once(log.evmctl(log=file)) for of, file in files.items()} for _ in range(_TIMES)]
    return {of: median(run[of]["wall_ns"] for run in runs) / 1e9 for of in files}


def _read(log: HostLog, viewed: Path, patterns: Sequence[Pattern], placement: Placement) -> list[Figures]:
    """Compare a file of the view with a plain copy of it, and with that copy in a bare FUSE server."""
    plain = log.directory / viewed.name
    _copy(viewed, plain)
    if plain.name == _FILES[0] and plain.stat().st_size != log.whole.stat().st_size:
        raise HarnessError(f"{viewed} is not the whole log")
    with _bare(plain, placement) as bare:
        rows = [_compare(plain, bare, viewed, pattern, placement) for pattern in patterns]
    plain.unlink()
    return rows


def _copy(viewed: Path, plain: Path) -> None:
    """Write as large pieces as segments are written in: their size determines the folios of the page cache."""
    with viewed.open("rb") as source, plain.open("wb") as out:
        shutil.copyfileobj(source, out, _WRITTEN)


@contextmanager
def _view(log: HostLog, placement: Placement) -> Iterator[tuple[Path, float]]:
    """Mount the view of the log. Yield it, and after how many seconds it could be read."""
    view = log.directory / "view"
    config = log.directory / "config"
    config.write_text(f'lock_file = "{log.directory}/lock"\n')
    argv: list[str | Path] = [host.program(), "--config", config, *log.options(), "mount", view]
    with _mounted(argv, view / _FILES[0], placement) as seconds:
        yield view, seconds


@contextmanager
def _bare(plain: Path, placement: Placement) -> Iterator[Path]:
    """Serve the file's bytes from a FUSE server that does nothing else."""
    file = plain.parent / "bare" / "file"
    with _mounted([host.BUILD / "bench/bare_fuse", plain, file.parent], file, placement):
        yield file


@contextmanager
def _mounted(argv: Sequence[str | Path], file: Path, placement: Placement) -> Iterator[float]:
    """Run a server that mounts the file's directory. Yield after how many seconds the file appeared."""
    file.parent.mkdir(exist_ok=True)
    began = time.monotonic()
    server = subprocess.Popen([*placement.prefix, *argv])
    try:
        while not file.exists():
            if server.poll() is not None or time.monotonic() - began > _MOUNTED_WITHIN:
                raise HarnessError(f"{file.parent} was not mounted")
            time.sleep(0.01)
        yield time.monotonic() - began
    finally:
        server.terminate()
        server.wait()


def _compare(plain: Path, bare: Path, view: Path, pattern: Pattern, placement: Placement) -> Figures:
    """Bytes per second of each, in turn. A first run brings the pages of the plain file into memory."""
    _rate(plain, pattern, placement)
    rates = [tuple(_rate(file, pattern, placement) for file in (plain, bare, view)) for _ in range(_TIMES)]
    row: Figures = dict(zip(_READ, (median(of) for of in zip(*rates, strict=True)), strict=True))
    return {"file": plain.name, "pattern": pattern.name, "cpus": placement.name, **row}


def _rate(file: Path, pattern: Pattern, placement: Placement) -> float:
    argv = [*placement.prefix, str(host.BUILD / "bench/read_at"), str(file), *pattern.options()]
    figures = json.loads(process.output(argv))
    return float(figures["bytes"] / (figures["ns"] / 1e9))


def _table(figures: Figures) -> Table:
    rows = []
    for row in figures["files"]:
        rates = [f"{row[of] / 1e6:,.0f}" for of in _READ]
        slower = [f"{row['plain'] / row[of]:.1f}" for of in _READ[1:]]
        rows.append([row["file"], row["pattern"], row["cpus"], *rates, *slower])
    title = f"View of {_RECORDS} records (mounted after {figures['mount_seconds']:.1f} s), medians of {_TIMES}"
    if "halt_poll_ns" in figures:
        title += f", guest_halt_poll_ns={figures['halt_poll_ns']}"
    columns = ["file", "read", "CPUs", *(f"{of} MB/s" for of in _READ), *(f"x slower, {of}" for of in _READ[1:])]
    return Table(title, columns, rows)


def _disk_table(figures: Figures) -> Table:
    rows = [
        [row["pattern"], *(f"{row[of] / 1e6:,.0f}" for of in ("plain", "view")), f"{row['plain'] / row['view']:.1f}"]
        for row in figures["disk"]
    ]
    title = f"{_FILES[0]} from the disk, medians of {_TIMES}"
    return Table(title, ["read", "plain MB/s", "view MB/s", "x slower"], rows)


def _evmctl_table(figures: Figures) -> Table:
    plain, view = (figures["evmctl"][of] for of in ("plain", "view"))
    row = ["evmctl ima_measurement", f"{plain:.2f}", f"{view:.2f}", f"{view / plain:.2f}"]
    return Table(f"A reader of {_FILES[0]}", ["program", "plain s", "view s", "x slower"], [row])


def _disk_target(row: Figures) -> Target:
    ratio = row["plain"] / row["view"]
    promise = f"view of {_RECORDS} records {row['pattern']} within {_SLOWER_AT_MOST:g} times of reading the plain file"
    return Target(f"{promise}, from the disk", f"{ratio:.1f} times", ratio <= _SLOWER_AT_MOST)


def _target(rows: list[Figures], pattern: Pattern, placement: Placement) -> Target:
    asked = (_FILES[0], pattern.name, placement.name)
    row = next(r for r in rows if (r["file"], r["pattern"], r["cpus"]) == asked)
    ratio = row["plain"] / row["view"]
    promise = f"view of {_RECORDS} records {pattern.name} within {_SLOWER_AT_MOST:g} times of reading the plain file"
    promise += ", from memory"
    if placement is not _ANY_CPU:
        promise += f", on {placement.name} CPU"
    bare = row["plain"] / row["bare FUSE"]
    return Target(promise, f"{ratio:.1f} times; bare FUSE {bare:.1f}", ratio <= _SLOWER_AT_MOST)
