# SPDX-License-Identifier: GPL-2.0-or-later
"""clang-tidy over the C++ programs, by run-clang-tidy.

clang-tidy spends nearly all its time on the headers of libraries, again for each
file. So CMake puts the files of a room into a few large units (a unity build).
"""

from __future__ import annotations

from pathlib import Path

from . import clang, paths, process, userspace
from .errors import HarnessError
from .report import Status, Suite

_BUILD = paths.BUILD / "tidy"
_OPTIONS = (
    "-DCMAKE_CXX_COMPILER=clang++",
    "-DCMAKE_BUILD_TYPE=Debug",
    "-DCMAKE_UNITY_BUILD=ON",
    "-DCMAKE_UNITY_BUILD_BATCH_SIZE=16",
    "-DIMASNAP_TESTS=ON",
    "-DIMASNAP_BENCH=ON",
)
# The tests are mostly macros of GoogleTest, which these checks are not for.
_UNITS = "^(?!.*/(imasnap_test|tests/))"


def run() -> Suite:
    """Check all files but the tests; the log has all findings."""
    suite = Suite("tidy")
    if reason := clang.unsuitable("clang-tidy"):
        suite.add("clang-tidy", Status.SKIP, reason)
        return suite
    userspace.configure(_BUILD, _OPTIONS)
    log = _BUILD / "tidy.log"
    log.unlink(missing_ok=True)
    # The units lie outside userspace/, where clang-tidy would look for it.
    config = (userspace.SOURCE / ".clang-tidy").read_text()
    argv: list[str | Path] = ["run-clang-tidy", "-quiet", f"-config={config}", "-p", _BUILD, "-j", str(userspace.jobs())]
    argv.append("-checks=-bugprone-suspicious-include")  # a unit includes .cc files
    print(f"tidy: checking, log in {log}", flush=True)
    try:
        process.logged([*argv, _UNITS], log=log)
    except HarnessError as e:
        suite.add("clang-tidy", Status.FAIL, str(e))
    else:
        suite.add("clang-tidy", Status.PASS)
    return suite
