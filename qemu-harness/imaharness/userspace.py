# SPDX-License-Identifier: GPL-2.0-or-later
"""Build userspace/ with CMake and run its unit tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import paths, process, report
from .errors import HarnessError
from .report import Status, Suite

_SOURCE = paths.ROOT / "userspace"


def present() -> bool:
    return (_SOURCE / "CMakeLists.txt").is_file()


def build(verbose: bool = False) -> Path:
    """Configure and build into build/userspace; returns that directory."""
    if not present():
        raise HarnessError("userspace/ has no CMakeLists.txt")
    into = paths.USERSPACE_BUILD
    into.mkdir(parents=True, exist_ok=True)
    log = into / "build.log"
    log.unlink(missing_ok=True)
    configure: list[str | Path] = ["cmake", "-S", _SOURCE, "-B", into, "-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
    if not (into / "CMakeCache.txt").exists() and shutil.which("ninja"):
        configure += ["-G", "Ninja"]
    if shutil.which("ccache"):
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    print(f"userspace: building, log in {log}", flush=True)
    process.logged(configure, log=log, verbose=verbose)
    jobs = str(len(os.sched_getaffinity(0)))
    process.logged(["cmake", "--build", into, "-j", jobs], log=log, verbose=verbose)
    return into


def run() -> Suite:
    """Build, then every test that ctest knows."""
    suite = Suite("userspace")
    if not present():
        suite.add("userspace", Status.SKIP, "userspace/ has no CMakeLists.txt")
        return suite
    into = build()
    xml = into / "ctest.xml"
    xml.unlink(missing_ok=True)
    jobs = str(len(os.sched_getaffinity(0)))
    argv = ["ctest", "--test-dir", into, "-j", jobs, "--output-junit", xml, "--output-on-failure"]
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
