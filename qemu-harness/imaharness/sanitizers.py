# SPDX-License-Identifier: GPL-2.0-or-later
"""The unit tests under AddressSanitizer, LeakSanitizer and UBSan.

Built once, with clang, for these tests and for the fuzzers alike.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import paths, process, report, userspace
from .errors import HarnessError
from .report import Status, Suite

BUILD = paths.BUILD / "sanitize"
_OPTIONS = (
    "-DCMAKE_CXX_COMPILER=clang++",
    "-DCMAKE_BUILD_TYPE=Debug",
    "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -gline-tables-only",
    "-DIMASNAP_SANITIZE=ON",
)
_TARGETS = ("imasnap_tests", "fuzz_programs")
ENVIRONMENT = {
    # The tests allocate much and little at a time: a small quarantine and short
    # stacks of where halve the time and still tell what was freed, and by whom.
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:malloc_context_size=8"
    ":quarantine_size_mb=32:allocator_release_to_os_interval_ms=-1",
    "LSAN_OPTIONS": f"suppressions={userspace.SOURCE / 'tests' / 'lsan.supp'}:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def build(verbose: bool = False) -> Path:
    """Configure and build tests and fuzzers with the sanitizers; returns the directory."""
    log = userspace.configure(BUILD, _OPTIONS, verbose)
    print(f"sanitizers: building, log in {log}", flush=True)
    argv = ["cmake", "--build", BUILD, "-j", str(userspace.jobs()), "--target", *_TARGETS]
    process.logged(argv, log=log, verbose=verbose)
    return BUILD


def test_programs(into: Path) -> list[Path]:
    """The GoogleTest programs of a build directory."""
    return sorted(f for f in into.rglob("*_tests") if f.is_file() and f.stat().st_mode & 0o111)


def run_shard(program: Path, index: int, count: int) -> Suite:
    """The INDEXth of COUNT parts of a GoogleTest program's tests."""
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
            env={**ENVIRONMENT, "GTEST_TOTAL_SHARDS": str(count), "GTEST_SHARD_INDEX": str(index)},
        )
    except HarnessError as e:
        complaint = str(e)
    if xml.exists():
        report.read_junit(xml, suite)
    if complaint and not suite.count(Status.FAIL):
        suite.add(f"{program.name} shard {index + 1} of {count}", Status.FAIL, complaint)
    return suite


def run() -> Suite:
    """Build, then all unit tests, spread over the processors."""
    suite = Suite("sanitizers")
    programs = test_programs(build())
    if not programs:
        suite.add("programs", Status.FAIL, f"there is no test program in {BUILD}")
    shards = userspace.jobs()
    work = [(program, index) for program in programs for index in range(shards)]
    with ThreadPoolExecutor(shards) as pool:
        for part in pool.map(lambda w: run_shard(w[0], w[1], shards), work):
            suite.cases += part.cases
    return suite
