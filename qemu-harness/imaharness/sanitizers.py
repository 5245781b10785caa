# SPDX-License-Identifier: GPL-2.0-or-later
"""The unit tests under AddressSanitizer, LeakSanitizer and UBSan, or under ThreadSanitizer.

The fuzzers use the first of these builds, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import paths, process, report, userspace
from .errors import HarnessError
from .report import Status, Suite

_OPTIONS = (
    "-DCMAKE_CXX_COMPILER=clang++",
    "-DCMAKE_BUILD_TYPE=Debug",
    "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -gline-tables-only",
    "-DCMAKE_UNITY_BUILD=ON",  # headers take most of the time
)
ENVIRONMENT = {
    # The tests make many small allocations. A small quarantine and short stacks
    # halve the time, and reports still show what was freed and where.
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:malloc_context_size=8"
    ":quarantine_size_mb=32:allocator_release_to_os_interval_ms=-1",
    "LSAN_OPTIONS": f"suppressions={userspace.SOURCE / 'tests' / 'lsan.supp'}:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


@dataclass(frozen=True)
class Kind:
    """One way to build and run the tests."""

    name: str  # of the suite
    checks: str  # of -fsanitize
    directory: Path
    targets: Sequence[str]
    environment: Mapping[str, str]


MEMORY = Kind(
    "sanitizers", "address,undefined", paths.BUILD / "sanitize", ("imasnap_tests", "fuzz_programs"), ENVIRONMENT
)
# Only the tests that start threads.
THREADS = Kind(
    "threads",
    "thread",
    paths.BUILD / "sanitize-threads",
    ("imasnap_tests",),
    {
        "TSAN_OPTIONS": "halt_on_error=1",
        "GTEST_FILTER": "DigestPipeline*:LongLog*:Refresher*:WholeLog*:ViewServer*:Daemon*",
    },
)


def build(kind: Kind = MEMORY) -> Path:
    """Configure and build what KIND names; returns the directory."""
    log = userspace.configure(kind.directory, (*_OPTIONS, f"-DIMASNAP_SANITIZE={kind.checks}"))
    print(f"{kind.name}: building, log in {log}", flush=True)
    argv: list[str | Path] = ["cmake", "--build", kind.directory, "-j", str(userspace.jobs()), "--target", *kind.targets]
    process.logged(argv, log=log)
    return kind.directory


def test_programs(into: Path) -> list[Path]:
    """The GoogleTest programs of a build directory."""
    return sorted(f for f in into.rglob("*_tests") if f.is_file() and f.stat().st_mode & 0o111)


def run_shard(program: Path, index: int, count: int, environment: Mapping[str, str] = ENVIRONMENT) -> Suite:
    """Run part INDEX of COUNT of a GoogleTest program's tests."""
    suite = Suite("shard")
    stem = program.parent / f"{program.name}.{index}"
    xml, log = stem.with_suffix(stem.suffix + ".xml"), stem.with_suffix(stem.suffix + ".log")
    xml.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    complaint = ""
    try:
        process.logged(
            [program, f"--gtest_output=xml:{xml}"],
            log=log,
            env={**environment, "GTEST_TOTAL_SHARDS": str(count), "GTEST_SHARD_INDEX": str(index)},
        )
    except HarnessError as e:
        complaint = str(e)
    if xml.exists():
        report.read_junit(xml, suite)
    if complaint and not suite.count(Status.FAIL):
        suite.add(f"{program.name} shard {index + 1} of {count}", Status.FAIL, complaint)
    return suite


def run(kind: Kind = MEMORY) -> Suite:
    """Build, then run the unit tests on all processors."""
    suite = Suite(kind.name)
    programs = test_programs(build(kind))
    if not programs:
        suite.add("programs", Status.FAIL, f"there is no test program in {kind.directory}")
    shards = userspace.jobs()
    work = [(program, index) for program in programs for index in range(shards)]
    with ThreadPoolExecutor(shards) as pool:
        for part in pool.map(lambda w: run_shard(w[0], w[1], shards, kind.environment), work):
            suite.cases += part.cases
    if not suite.cases:
        suite.add("tests", Status.FAIL, "no test was run")
    return suite
