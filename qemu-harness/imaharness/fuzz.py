# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the libFuzzer targets of userspace/fuzz/ for a while."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import paths, process, sanitizers, userspace
from .errors import HarnessError
from .report import Status, Suite

_CORPUS = userspace.SOURCE / "fuzz" / "corpus"
_WORK = paths.BUILD / "fuzz"
_PREFIX = "fuzz_"
# Inputs per target in 'make check'; the fixed seed makes them the same each time.
_RUNS = 2000


@dataclass(frozen=True)
class Target:
    name: str
    program: Path

    @property
    def directory(self) -> Path:
        """Where the inputs that break it are kept."""
        return _WORK / self.name


def targets(build: Path) -> list[Target]:
    """The fuzz programs of a build directory, by name."""
    programs = sorted((build / "fuzz").glob(f"{_PREFIX}*"))
    return [Target(p.name.removeprefix(_PREFIX), p) for p in programs if p.is_file() and p.stat().st_mode & 0o111]


def command(target: Target, found: Path, bound: Sequence[str]) -> list[str | Path]:
    """The program's command line. FOUND gets the inputs that reach new code."""
    return [
        target.program,
        *bound,
        "-max_len=8192",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={target.directory}/",
        found,
        _CORPUS / target.name,
    ]


def _fuzz(target: Target, found: Path, bound: Sequence[str]) -> str:
    """Run TARGET. Return its complaint, or ''."""
    if not any((_CORPUS / target.name).glob("*")):
        return f"there is no corpus in {_CORPUS / target.name}"
    found.mkdir(parents=True, exist_ok=True)
    log = target.directory / "log"
    log.unlink(missing_ok=True)
    try:
        process.logged(command(target, found, bound), log=log, env=sanitizers.ENVIRONMENT)
    except HarnessError as e:
        return f"{e}\nthe inputs that broke it are in {target.directory}"
    return ""


def run() -> Suite:
    """Run each target for a short time, from the corpus alone and with a fixed seed."""
    suite = Suite("fuzz")
    for target in targets(sanitizers.build()):
        found = target.directory / "check"
        if found.exists():
            shutil.rmtree(found)
        complaint = _fuzz(target, found, ["-seed=1", f"-runs={_RUNS}"])
        suite.add(target.name, Status.FAIL if complaint else Status.PASS, complaint)
    if not suite.cases:
        suite.add("targets", Status.FAIL, "there is no fuzz target")
    return suite


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="fuzz", description="Fuzz each target in turn. New inputs and crashes stay under build/fuzz."
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="time for each target; default: 60")
    args = parser.parse_args(argv)
    if args.seconds < 1:  # libFuzzer takes 0 as no limit
        parser.error("--seconds must be at least 1")
    try:
        known = {t.name: t for t in targets(sanitizers.build())}
    except HarnessError as e:
        print(f"fuzz: {e}", file=sys.stderr)
        return 1
    if unknown := [name for name in args.targets if name not in known]:
        parser.error(f"unknown target {', '.join(unknown)}; choose from {', '.join(known)}")
    broken = 0
    for name in args.targets or known:
        print(f"fuzz: {name} for {args.seconds} s", flush=True)
        target = known[name]
        complaint = _fuzz(target, target.directory / "corpus", [f"-max_total_time={args.seconds}"])
        if complaint:
            print(f"fuzz: {name}: {complaint}", file=sys.stderr)
            broken += 1
        else:
            print("\n".join(f"  {line}" for line in final_stats((target.directory / "log").read_text(errors="replace"))))
    if not known:
        print("fuzz: there is no target", file=sys.stderr)
    return 1 if broken or not known else 0


def final_stats(log: str) -> list[str]:
    """The statistics in libFuzzer's log that show how much was done."""
    wanted = ("stat::number_of_executed_units", "stat::average_exec_per_sec", "stat::new_units_added")
    return [" ".join(line.removeprefix("stat::").split()) for line in log.splitlines() if line.startswith(wanted)]
