# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast verify and cat are on the host, compared with evmctl and with the hashes alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from imaharness import paths, process
from imaharness.errors import HarnessError

from . import hostlogs, hostprofile
from .guests import Setup
from .hostlogs import HostLog
from .tables import Outcome, Table, Target

BUILD = paths.BUILD / "userspace-release"
_INSTALLED = BUILD / "installed/ima-snapshot"
LOGS = paths.BUILD / "bench" / "host"
_SIZES = (10_000, 100_000, 1_000_000)
_BANKS = (("sha256",), ("sha1", "sha256"))
_TIMES = 5
_FASTER_THAN_EVMCTL = 5.0
_PEAK_MIB = 32.0
_FLAT = 1.1  # peak at the longest log / peak at the second longest, where all threads run, too
_CHECKPOINT = 100.0
_EVMCTL = "evmctl"
_OURS = ("verify", "cat")
_START = "the program's start"
_EVMCTL_START = "the start of evmctl"

Figures = dict[str, Any]


def build() -> None:
    """Build the programs as for a release, in a separate directory: tests may be built without optimization."""
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / "build.log"
    configure: list[str | Path] = ["cmake", "-S", paths.ROOT / "userspace", "-B", BUILD]
    configure += ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DIMASNAP_TESTS=OFF", "-DIMASNAP_BENCH=ON"]
    if not (BUILD / "CMakeCache.txt").exists() and shutil.which("ninja"):
        configure += ["-G", "Ninja"]
    if shutil.which("ccache"):
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    process.logged(configure, log=log)
    targets = ["ima-snapshot", "make_log", "hash_floor", "measure", "read_at", "bare_fuse"]
    process.logged(["cmake", "--build", BUILD, "-j", str(_cores()), "--target", *targets], log=log)
    # Install it as a package does, and as evmctl's package did: stripped, and written in one go. A file
    # that a linker wrote in pieces is in the page cache in pieces, so the program takes longer to start.
    process.logged(["install", "-D", "--strip", BUILD / "ima-snapshot", _INSTALLED], log=log)


def measure(setup: Setup) -> Outcome:
    del setup  # no guest
    outcome = Outcome("host", figures={"cores": _cores(), "times": _TIMES, "logs": []})
    for banks in _BANKS:
        for records in _SIZES:
            log = hostlogs.make(BUILD / "bench", LOGS / f"{records}-{'-'.join(banks)}", records, banks)
            hostlogs.check_referee(log)
            outcome.figures["logs"].append({"records": records, "banks": list(banks), **_measure(log)})
    logs: list[Figures] = outcome.figures["logs"]
    outcome.tables = [*map(_table, _by_banks(logs)), _floor_table(logs)]
    outcome.targets = _targets(logs)
    profile = hostprofile.profile(_profiled())
    if profile is not None:
        outcome.figures["profile"] = profile
        outcome.tables.append(hostprofile.table(profile))
    shutil.rmtree(LOGS)
    return outcome


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def program() -> str:
    return str(_INSTALLED)


def _commands(log: HostLog) -> dict[str, list[str]]:
    base = [program(), *log.options()]
    commands = {
        _EVMCTL: log.evmctl(),
        "verify": [*base, "verify", *log.pcrs()],
        "verify, one core": ["taskset", "-c", "0", *base, "verify", *log.pcrs()],
        "cat": [*base, "cat"],
        "cat --hash sha256": [*base, "cat", "--hash", "sha256"],
        "cat --ascii": [*base, "cat", "--ascii"],
        _START: [program(), "--version"],
        _EVMCTL_START: [_EVMCTL, "--version"],
    }
    if _has_state():
        state = log.directory / "state"
        done = subprocess.run(
            [*base, "verify", *log.pcrs(), "--state", str(state)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise HarnessError(f"verify --state: {done.stderr.strip()}")
        later = [program(), *log.options(later=True), "verify", *log.pcrs(later=True)]
        commands["verify after more"] = later
        commands["verify --state after more"] = [*later, "--state", str(state)]
    return commands


def _has_state() -> bool:
    return "--state" in process.output([program(), "verify", "--help"])


def _measure(log: HostLog) -> Figures:
    """Run all commands in turn, several times; each must succeed."""
    commands = _commands(log)
    state = log.directory / "state"
    before = state.read_bytes() if state.exists() else None
    runs: dict[str, list[Figures]] = {name: [] for name in commands}
    floors: list[Figures] = []
    for _ in range(_TIMES):
        for name, argv in commands.items():
            if before is not None:
                state.write_bytes(before)
            runs[name].append(once(argv))
        floor = [str(BUILD / "bench/hash_floor"), str(log.whole), "--banks", ",".join(log.banks)]
        floors.append(json.loads(process.output(floor)))
    _check_cat(log)
    return {
        "bytes": log.whole.stat().st_size,
        "runs": {name: _medians(of) for name, of in runs.items()},
        "floor": {key: median(f[key] for f in floors) for key in ("template_ns", "extend_ns", "segment_ns")},
    }


def once(argv: Sequence[str]) -> Figures:
    """Run a program, which must succeed. Return its times and its memory."""
    figures: Figures = json.loads(process.output([str(BUILD / "bench/measure"), "/dev/null", "/dev/null", *argv]))
    if figures["status"] != 0:
        raise HarnessError(f"{' '.join(argv)}: exit {figures['status']}")
    return figures


def _medians(runs: Sequence[Figures]) -> Figures:
    """The median of the times, the maximum of the memory."""
    return {
        "wall_ns": median(r["wall_ns"] for r in runs),
        "cpu_ns": median(r["cpu_ns"] for r in runs),
        "peak_kib": max(r["peak_kib"] for r in runs),
        "all_wall_ns": [r["wall_ns"] for r in runs],
    }


def _check_cat(log: HostLog) -> None:
    """Check that cat writes the log."""
    out = log.directory / "cat.bin"
    with out.open("wb") as f:
        subprocess.run([program(), *log.options(), "cat"], stdout=f, check=True)
    if subprocess.run(["cmp", "-s", str(out), str(log.whole)], check=False).returncode != 0:
        raise HarnessError(f"{log.whole}: cat does not write this log")
    out.unlink()


def _profiled() -> list[str]:
    log = HostLog(100_000, _BANKS[0], LOGS / f"100000-{'-'.join(_BANKS[0])}")
    with_symbols = str(BUILD / "ima-snapshot")
    return ["taskset", "-c", "0", with_symbols, *log.options(), "verify", *log.pcrs()]


def _by_banks(logs: Sequence[Figures]) -> list[list[Figures]]:
    return [[log for log in logs if log["banks"] == list(banks)] for banks in _BANKS]


def _rate(log: Figures, name: str) -> float:
    """Records per second."""
    return float(log["records"] / (log["runs"][name]["wall_ns"] / 1e9))


def _times_evmctl(log: Figures, name: str) -> float:
    return float(log["runs"][_EVMCTL]["wall_ns"] / log["runs"][name]["wall_ns"])


def _work(log: Figures, name: str) -> float:
    """Nanoseconds of a run without the start of its program."""
    start = _EVMCTL_START if name == _EVMCTL else _START
    return float(max(log["runs"][name]["wall_ns"] - log["runs"][start]["wall_ns"], 1))


def _times(log: Figures, slow: str, fast: str) -> tuple[float, str]:
    """How many times faster, as a number and in words. Short runs are mostly the program's start."""
    ratio = float(log["runs"][slow]["wall_ns"] / log["runs"][fast]["wall_ns"])
    alone = _work(log, slow) / _work(log, fast)
    return ratio, f"{ratio:.{_digits(ratio)}f} times; {alone:.{_digits(alone)}f} without the programs' start"


def _digits(ratio: float) -> int:
    return 1 if ratio < 20 else 0


def _table(logs: Sequence[Figures]) -> Table:
    banks = "+".join(logs[0]["banks"])
    head = [f"{banks}: records per second"]
    for log in logs:
        head += [f"{log['records']} records", "x evmctl", "peak MiB"]
    rows = []
    for name in logs[0]["runs"]:
        row = [name]
        for log in logs:
            run = log["runs"][name]
            if name in (_START, _EVMCTL_START):
                row += [f"{run['wall_ns'] / 1e6:.1f} ms", "", f"{run['peak_kib'] / 1024:.1f}"]
            else:
                row += [f"{_rate(log, name):,.0f}", f"{_times_evmctl(log, name):.1f}", f"{run['peak_kib'] / 1024:.1f}"]
        rows.append(row)
    return Table(f"Whole programs on {_cores()} cores, medians of {_TIMES}", head, rows)


def _floor_table(logs: Sequence[Figures]) -> Table:
    """Nanoseconds per record: the hashes alone on one core, and the programs."""
    head = ["ns per record", "template digests", "extends", "segment", "all hashes", "verify CPU", "verify", "evmctl"]
    rows = []
    for log in logs:
        floor: Mapping[str, float] = log["floor"]
        figures = [floor["template_ns"], floor["extend_ns"], floor["segment_ns"], sum(floor.values())]
        verify = log["runs"]["verify"]
        figures += [verify["cpu_ns"], verify["wall_ns"], log["runs"][_EVMCTL]["wall_ns"]]
        rows.append(
            [f"{log['records']} records, {'+'.join(log['banks'])}", *(f"{f / log['records']:.0f}" for f in figures)]
        )
    return Table("The hashes alone (on one core), and the programs", head, rows)


def _targets(logs: Sequence[Figures]) -> list[Target]:
    targets = []
    for log in logs:
        for name in _OURS:
            ratio, measured = _times(log, _EVMCTL, name)
            promise = f"{name} of {log['records']} records, {'+'.join(log['banks'])}, "
            promise += f"{_FASTER_THAN_EVMCTL:g} times as fast as evmctl"
            targets.append(Target(promise, measured, ratio >= _FASTER_THAN_EVMCTL))
    for of_banks in _by_banks(logs):
        for name in _OURS:
            targets.append(_memory_target(of_banks, name))
        longest = of_banks[-1]
        if "verify --state after more" in longest["runs"]:
            ratio, measured = _times(longest, "verify after more", "verify --state after more")
            promise = f"verify --state, {hostlogs.LATER} records after {longest['records']}, "
            promise += f"{'+'.join(longest['banks'])}, {_CHECKPOINT:g} times as fast as verifying the whole log"
            targets.append(Target(promise, measured, ratio >= _CHECKPOINT))
    return targets


def _memory_target(logs: Sequence[Figures], name: str) -> Target:
    peaks = [log["runs"][name]["peak_kib"] / 1024 for log in logs]
    promise = f"peak memory of {name}, {'+'.join(logs[0]['banks'])}, at {logs[-1]['records']} records "
    promise += f"under {_PEAK_MIB:g} MiB and at most {_FLAT:g} times that at {logs[-2]['records']}"
    met = peaks[-1] < _PEAK_MIB and peaks[-1] <= _FLAT * peaks[-2]
    return Target(promise, f"{peaks[-1]:.1f} MiB, {peaks[-1] / peaks[-2]:.2f} times", met)
