# SPDX-License-Identifier: GPL-2.0-or-later
"""Build userspace/ with CMake and run its unit tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from . import arch, paths, process, report, sysroot
from .errors import HarnessError
from .report import Status, Suite

SOURCE = paths.ROOT / "userspace"
PROGRAMS = ("ima-snapshot", "ima-snapshotd")


def present() -> bool:
    return (SOURCE / "CMakeLists.txt").is_file()


def jobs() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


def configure(into: Path, options: Sequence[str], verbose: bool = False) -> Path:
    """Run cmake with OPTIONS in the directory INTO; returns the log."""
    if not present():
        raise HarnessError("userspace/ has no CMakeLists.txt")
    into.mkdir(parents=True, exist_ok=True)
    log = into / "build.log"
    log.unlink(missing_ok=True)
    argv: list[str | Path] = ["cmake", "-S", SOURCE, "-B", into, *options]
    if not (into / "CMakeCache.txt").exists() and shutil.which("ninja"):
        argv += ["-G", "Ninja"]
    if shutil.which("ccache"):
        argv.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    env: dict[str, str] = {}
    if not arch.current().native:
        argv += sysroot.cmake_options()
        env = sysroot.environment()
    process.logged(argv, log=log, verbose=verbose, env=env)
    return log


def configure_programs(verbose: bool = False, tests: bool = False) -> Path:
    """Configure build/userspace with the options of a release; returns the log.

    Without TESTS a directory that has tests keeps them, and a new one needs no test library.
    """
    options = ["-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
    if tests or not (paths.USERSPACE_BUILD / "CMakeCache.txt").exists():
        options.append(f"-DIMASNAP_TESTS={'ON' if tests else 'OFF'}")
    return configure(paths.USERSPACE_BUILD, options, verbose)


def build(verbose: bool = False, tests: bool = False) -> Path:
    """Configure and build into build/userspace, the programs or all; returns that directory."""
    into = paths.USERSPACE_BUILD
    print(f"userspace: building, log in {into / 'build.log'}", flush=True)
    log = configure_programs(verbose, tests)
    targets = [] if tests else ["--target", *PROGRAMS]
    process.logged(["cmake", "--build", into, "-j", str(jobs()), *targets], log=log, verbose=verbose)
    return into


def run() -> Suite:
    """Build, then run all tests that ctest knows."""
    suite = Suite("userspace")
    if not present():
        suite.add("userspace", Status.SKIP, "userspace/ has no CMakeLists.txt")
        return suite
    into = build(tests=True)
    xml = into / "ctest.xml"
    xml.unlink(missing_ok=True)
    argv: list[str | Path] = ["ctest", "--test-dir", into, "-j", str(jobs()), "--output-junit", xml, "--output-on-failure"]
    complaint = ""
    try:
        process.logged(argv, log=into / "ctest.log")
    except HarnessError as e:
        complaint = str(e)
    if xml.exists():
        report.read_junit(xml, suite)
    if complaint and not suite.count(Status.FAIL):
        suite.add("ctest", Status.FAIL, complaint)
    return suite
