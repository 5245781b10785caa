# SPDX-License-Identifier: GPL-2.0-or-later
"""clang-tidy over the C++ programs.

clang-tidy spends nearly all its time on the headers of libraries, anew for each
file. So files of one directory are checked as one translation unit that includes
them, which takes a tenth of the time; where their names collide the unit is
halved, which the compiler tells sooner than clang-tidy would. A file that was
clean is checked again only when it, a header of this tree that it includes, the
configuration, the flags or clang-tidy changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import clang, paths, process, userspace
from .errors import HarnessError
from .report import Status, Suite

_CONFIG = userspace.SOURCE / ".clang-tidy"
_WORK = paths.BUILD / "tidy"
_CLEAN = _WORK / "clean.json"
# The tests are mostly macros of GoogleTest, which these checks are not for.
_DIRECTORIES = ("src", "cli", "view", "daemon", "fuzz", "bench")
_LARGEST_BATCH = 16

_TAKES_NEXT = ("-isystem", "-I", "-D")
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
_FINDING = re.compile(r"^(/[^:]+):\d+:\d+: (?:error|warning): ", re.MULTILINE)


@dataclass(frozen=True)
class Unit:
    """A source file and the flags that tell what it means."""

    file: Path
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.file.relative_to(userspace.SOURCE))


@dataclass(frozen=True)
class Outcome:
    units: tuple[Unit, ...]
    complaint: str  # empty when clean


def meaningful_flags(command: str) -> tuple[str, ...]:
    """Of a compiler's command line, what clang-tidy needs to parse the file."""
    words = shlex.split(command)[1:]
    flags: list[str] = []
    for i, word in enumerate(words):
        if word in _TAKES_NEXT:
            flags += words[i : i + 2]
        elif word.startswith(("-I", "-D", "-std=")) or word == "-pthread":
            flags.append(word)
    return tuple(flags)


def read_units(database: Path) -> list[Unit]:
    """The files of a compile_commands.json that are checked."""
    units = {}
    for entry in json.loads(database.read_text()):
        file = Path(entry["file"])
        if file.is_relative_to(userspace.SOURCE) and file.relative_to(userspace.SOURCE).parts[0] in _DIRECTORIES:
            units[file] = Unit(file, meaningful_flags(entry["command"]))
    return [units[file] for file in sorted(units)]


def own_files(unit: Unit) -> set[Path]:
    """The unit's file and the headers of this tree that it includes, directly or not."""
    roots = [Path(flag[2:]) for flag in unit.flags if flag.startswith("-I") and flag != "-I"]
    found: set[Path] = set()
    todo = [unit.file]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        for name in _INCLUDE.findall(file.read_text()):
            todo += [d / name for d in (file.parent, *roots) if (d / name).is_file()][:1]
    return found


def key_of(unit: Unit, settings: bytes) -> str:
    """Changes when the outcome of checking UNIT may."""
    digest = hashlib.sha256(settings)
    digest.update("\0".join(unit.flags).encode())
    for file in sorted(own_files(unit)):
        digest.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def batches(units: Iterable[Unit], workers: int) -> list[tuple[Unit, ...]]:
    """UNITS in groups of the same directory, enough for all WORKERS."""
    groups: dict[Path, list[Unit]] = {}
    for unit in units:
        groups.setdefault(unit.file.parent, []).append(unit)
    made: list[tuple[Unit, ...]] = []
    for group in groups.values():
        pieces = max(-(-len(group) // _LARGEST_BATCH), min(workers, len(group) // 8))
        pieces = max(pieces, 1)
        made += [tuple(group[i::pieces]) for i in range(pieces)]
    return sorted(made, key=len, reverse=True)


def all_flags(units: Iterable[Unit]) -> list[str]:
    """The flags of all UNITS, each once."""
    pairs: dict[tuple[str, ...], None] = {}
    for unit in units:
        flags = iter(unit.flags)
        for flag in flags:
            pairs[(flag, next(flags)) if flag in _TAKES_NEXT else (flag,)] = None
    return [word for pair in pairs for word in pair]


def _together(units: Sequence[Unit]) -> Path:
    """The file to give to clang for UNITS: their own, or one that includes them."""
    if len(units) == 1:
        return units[0].file
    text = "".join(f'#include "{unit.file}"\n' for unit in units)
    file = _WORK / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.cc"
    file.write_text(text)
    return file


def _complaint(argv: Sequence[str | Path]) -> str:
    done = subprocess.run(argv, cwd=_WORK, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit {done.returncode}"


def check(units: tuple[Unit, ...]) -> list[Outcome]:
    """Check UNITS together, or in halves when they do not compile together."""
    file, flags = _together(units), all_flags(units)
    if len(units) > 1 and _complaint(["clang++", "-fsyntax-only", *flags, file]):
        middle = len(units) // 2
        return check(units[:middle]) + check(units[middle:])
    argv: list[str | Path] = ["clang-tidy", "--quiet", f"--config-file={_CONFIG}"]
    if len(units) > 1:
        argv.append("--checks=-bugprone-suspicious-include")
    complaint = _complaint([*argv, file, "--", *flags])
    print(f"tidy: {units[0].file.parent.name}: {len(units)} files {'with findings' if complaint else 'clean'}", flush=True)
    return [Outcome(units, complaint)]


def _add(suite: Suite, outcome: Outcome) -> None:
    """A test for each unit, and one for each other file that has a finding."""
    found: dict[str, list[str]] = {}
    starts = [*_FINDING.finditer(outcome.complaint)]
    for match, following in zip(starts, [*starts[1:], None], strict=False):
        end = following.start() if following else len(outcome.complaint)
        found.setdefault(match[1], []).append(outcome.complaint[match.start() : end].rstrip())
    for unit in outcome.units:
        complaint = "\n".join(found.pop(str(unit.file), []))
        if not starts and outcome.complaint:
            complaint = outcome.complaint
        suite.add(unit.name, Status.FAIL if complaint else Status.PASS, complaint)
    for file, findings in found.items():
        suite.add(file, Status.FAIL, "\n".join(findings))


def _settings() -> bytes:
    return _CONFIG.read_bytes() + process.output(["clang-tidy", "--version"]).encode()


def _read_clean() -> dict[str, str]:
    try:
        return dict(json.loads(_CLEAN.read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def run() -> Suite:
    """Check all files; those that did not change since they were clean pass at once."""
    suite = Suite("tidy")
    if reason := clang.unsuitable("clang-tidy"):
        suite.add("clang-tidy", Status.SKIP, reason)
        return suite
    userspace.configure_programs(tests=True)
    _WORK.mkdir(parents=True, exist_ok=True)
    settings = _settings()
    units = read_units(paths.USERSPACE_BUILD / "compile_commands.json")
    if not units:
        raise HarnessError("compile_commands.json names no file of this tree")
    keys = {unit.name: key_of(unit, settings) for unit in units}
    before = _read_clean()
    clean = {name: key for name, key in keys.items() if before.get(name) == key}
    todo = batches([unit for unit in units if unit.name not in clean], userspace.jobs())
    for name in sorted(clean):
        suite.add(name, Status.PASS)
    with ThreadPoolExecutor(userspace.jobs()) as pool:
        for outcomes in pool.map(check, todo):
            for outcome in outcomes:
                _add(suite, outcome)
                if not outcome.complaint:
                    clean |= {unit.name: keys[unit.name] for unit in outcome.units}
    _CLEAN.write_text(json.dumps(clean, indent=1, sort_keys=True) + "\n")
    return suite
