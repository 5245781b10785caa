# SPDX-License-Identifier: GPL-2.0-or-later
"""'make coverage': what the unit tests reach in the C++ programs, and a fuzzer in the kernel's new files.

build/coverage/report.txt has a line for each C++ file (llvm-cov), unreached.txt the places that
no unit test reaches, with the reasons of unreached.toml, kernel.txt those that the fuzzer of
tests/e2e/programs does not reach.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import random
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import image, kcov, kernel, paths, process, report, sanitizers, userspace
from .bases import DEFAULT_BASE, find_base
from .errors import HarnessError
from .guest import GuestSpec, run_guest
from .tpm import TpmSpec

DIRECTORY = paths.BUILD / "coverage"
_REASONS = paths.HARNESS / "unreached.toml"
_FLAGS = "-O1 -fprofile-instr-generate -fcoverage-mapping"
_OPTIONS = (
    "-DCMAKE_CXX_COMPILER=clang++",
    "-DCMAKE_BUILD_TYPE=Debug",
    f"-DCMAKE_CXX_FLAGS_DEBUG={_FLAGS}",
    "-DCMAKE_EXE_LINKER_FLAGS=-fprofile-instr-generate",
)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise HarnessError(f"{name} is not installed; run 'make deps'")
    return found


def build() -> Path:
    """Build the unit tests so that they count what they reach; returns the program."""
    log = userspace.configure(DIRECTORY, _OPTIONS)
    print(f"coverage: building, log in {log}", flush=True)
    process.logged(["cmake", "--build", DIRECTORY, "-j", str(userspace.jobs()), "--target", "imasnap_tests"], log=log)
    (program,) = sanitizers.test_programs(DIRECTORY)
    return program


def run_tests(program: Path) -> Path:
    """Run all tests; returns the merged profile."""
    shards = userspace.jobs()
    for old in DIRECTORY.glob("*.profraw"):
        old.unlink()
    environment = {"LLVM_PROFILE_FILE": str(DIRECTORY / "%p.profraw")}
    with ThreadPoolExecutor(shards) as pool:
        suites = list(pool.map(lambda shard: sanitizers.run_shard(program, shard, shards, environment), range(shards)))
    print(f"coverage: {report.closing_line(suites)}", flush=True)
    profile = DIRECTORY / "profile"
    raw = sorted(DIRECTORY.glob("*.profraw"))
    process.output([_tool("llvm-profdata"), "merge", "-sparse", "-o", profile, *raw])
    return profile


def unreached(function_data: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """First and last line of each part of a file that no test reaches, from llvm-cov's segments.

    A segment is [line, column, count, has a count, begins a region, is a gap].
    """
    segments: Sequence[Sequence[Any]] = function_data["segments"]
    first: int | None = None
    for line, _, count, counted, _, gap in segments:
        missed = counted and not gap and count == 0
        if missed and first is None:
            first = line
        elif not missed and first is not None:
            yield first, line
            first = None


@dataclass(frozen=True)
class Reason:
    """Why no unit test reaches the places of these FILES whose lines match CODE."""

    why: str
    files: Sequence[str] = ("*",)
    code: str = ""

    def fits(self, file: str, lines: str) -> bool:
        return any(fnmatch.fnmatch(file, pattern) for pattern in self.files) and re.search(self.code, lines) is not None


def read_reasons() -> list[Reason]:
    return [Reason(**entry) for entry in tomllib.loads(_REASONS.read_text())["reason"]]


def explained(file: str, source: Sequence[str], first: int, last: int, reasons: Iterable[Reason]) -> tuple[str, bool]:
    """The line of the list for a place of FILE, and whether a reason fits."""
    lines = "\n".join(source[first - 1 : last])
    why = next((reason.why for reason in reasons if reason.fits(file, lines)), None)
    return f"{file}:{first}-{last}" + (f": {why}" if why else ""), why is not None


def userspace_coverage() -> None:
    program = build()
    profile = run_tests(program)
    llvm_cov = _tool("llvm-cov")
    common: list[str | Path] = [program, f"-instr-profile={profile}"]
    rooms = [userspace.SOURCE / name for name in ("src", "cli", "daemon", "view")]
    table = process.output([llvm_cov, "report", *common, "-show-branch-summary", *rooms])
    (DIRECTORY / "report.txt").write_text(table)
    (exported,) = json.loads(process.output([llvm_cov, "export", *common, *rooms]))["data"]
    reasons = read_reasons()
    places = []
    for file in exported["files"]:
        path = Path(file["filename"])
        name, source = str(path.relative_to(userspace.SOURCE)), path.read_text().splitlines()
        places += [explained(name, source, first, last, reasons) for first, last in unreached(file)]
    (DIRECTORY / "unreached.txt").write_text("".join(f"{line}\n" for line, _ in places))
    for what in ("lines", "branches"):
        one = exported["totals"][what]
        print(f"coverage: {one['covered']} of {one['count']} {what} of the C++ programs reached ({one['percent']:.1f} %)")
    unexplained = sum(not has_reason for _, has_reason in places)
    print(
        f"coverage: {DIRECTORY}/report.txt; {DIRECTORY}/unreached.txt has {len(places)} places,"
        f" {unexplained} of them without a reason"
    )


def kernel_coverage() -> None:
    """Fuzz the files of securityfs for FUZZ_SECONDS."""
    seconds = int(os.environ.get("FUZZ_SECONDS") or 60)
    base, flavour = find_base(os.environ.get("BASE") or DEFAULT_BASE), kernel.find_flavour("kcov")
    kernel.build(base, flavour)
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    fuzzer = DIRECTORY / "kcov_fuzz"
    flags = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static")
    process.output(["gcc", *flags, "-o", fuzzer, paths.HARNESS / "tests/e2e/programs/kcov_fuzz.c"])
    command = "mkdir -p /load && mount -t ramfs ramfs /load && kcov_fuzz " + f"{seconds} {random.randrange(1 << 31)}"
    result = run_guest(
        GuestSpec(
            command=["sh", "-c", command],
            base=base.name,
            flavour=flavour.name,
            tpm=TpmSpec(banks=("sha1", "sha256")),
            policy=paths.GUEST / "scenarios" / "ramfs.policy",
            copies=[image.Copy(fuzzer, f"{image.GUEST_BIN}/kcov_fuzz")],
            timeout=seconds + 300.0,
            name="coverage",
        )
    )
    if not result.ok:
        raise HarnessError(f"{result.explain()}\n{result.stderr.decode(errors='replace')}")
    reached = [int(line, 16) for line in result.stdout.decode().split()]
    places, total = kcov.unreached(kernel.object_dir(base, flavour) / "vmlinux", reached)
    (DIRECTORY / "kernel.txt").write_text("".join(f"{place}\n" for place in places))
    print(f"coverage: kcov_fuzz: {result.stderr.decode().strip()}")
    unexplained = sum(place.function not in kcov.REASONS for place in places)
    print(
        f"coverage: {total - len(places)} of {total} places of the kernel's new files reached; {DIRECTORY}/kernel.txt"
        f" has the others, {unexplained} of them without a reason"
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="coverage", description="Measure what the tests reach.")
    parser.add_argument("parts", nargs="*", metavar="PART", help="userspace or kernel; default: both")
    parts = parser.parse_args(argv).parts or ["userspace", "kernel"]
    if unknown := set(parts) - {"userspace", "kernel"}:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; choose from userspace, kernel")
    try:
        if "userspace" in parts:
            userspace_coverage()
        if "kernel" in parts:
            kernel_coverage()
    except HarnessError as e:
        print(f"coverage: {e}", file=sys.stderr)
        return 1
    return 0
