# SPDX-License-Identifier: GPL-2.0-or-later
"""'make check': run the suites, write their results, end with one line of counts."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import arch, fuzz, given, kernel_check, kunit, lint, matrix, paths, pyunit, report, sanitizers, selftests, source, tidy, userspace
from .bases import BASES, DEFAULT_BASE, Base, find_base
from .errors import HarnessError, UsageError
from .guest import new_run_directory
from .report import Status, Suite
from .tpm import TpmSpec

# On another machine than this one: cycles over kexec, and the late TPM. Most of the
# others run the project's programs on the host, too.
_E2E_ELSEWHERE = "test_[kl]*.py"
Runner = Callable[[Base, Path | None], list[Suite]]
_TESTS = paths.HARNESS / "tests"


def _build_programs() -> None:
    if userspace.present():
        userspace.build()


def _lint(base: Base, ksrc: Path | None) -> list[Suite]:
    return [lint.run()]


def _harness(base: Base, ksrc: Path | None) -> list[Suite]:
    return [pyunit.run_files("harness", _TESTS / "unit", _TESTS)]


def _userspace(base: Base, ksrc: Path | None) -> list[Suite]:
    return [userspace.run()]


def _tidy(base: Base, ksrc: Path | None) -> list[Suite]:
    return [tidy.run()]


def _sanitizers(base: Base, ksrc: Path | None) -> list[Suite]:
    return [sanitizers.run()]


def _threads(base: Base, ksrc: Path | None) -> list[Suite]:
    return [sanitizers.run(sanitizers.THREADS)]


def _fuzz(base: Base, ksrc: Path | None) -> list[Suite]:
    return [fuzz.run()]


def _package(base: Base, ksrc: Path | None) -> list[Suite]:
    _build_programs()
    return [pyunit.run_files("package", _TESTS / "package", _TESTS)]


def _kernel(base: Base, ksrc: Path | None) -> list[Suite]:
    if given.image() is not None:
        return _skipped("kernel", "KERNEL= names an image, so no kernel is built")
    return [kernel_check.run(base, ksrc, only_last=True)]


def _kunit(base: Base, ksrc: Path | None) -> list[Suite]:
    return [kunit.run(base, ksrc)]


def _positive(name: str, default: str) -> int:
    """The number that the environment variable NAME has."""
    text = os.environ.get(name) or default
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"{name}={text}: it must be a positive number")
    return int(text)


def _stress(base: Base, ksrc: Path | None) -> list[Suite]:
    return selftests.stress(base, ksrc, _positive("ROUNDS", "20"))


def _debug(base: Base, ksrc: Path | None) -> list[Suite]:
    """Selftests and KUnit on the debug kernels, whose builds take long."""
    flavours = [setting.flavour for setting in selftests.SETTINGS if setting.on_demand]
    return [*selftests.debug(base, ksrc), *(kunit.run(base, ksrc, flavour) for flavour in flavours)]


def _storm(base: Base, ksrc: Path | None) -> list[Suite]:
    """The storms of the end-to-end tests, for TIME seconds each: on the kernel of the series, with a long list, and on debug kernels."""
    _build_programs()
    os.environ["STORM_TIME"] = str(_positive("TIME", "600"))
    records = str(_positive("RECORDS", "1000000"))
    suites = []
    for name, flavour, length in (
        ("storm-patched", "patched", "0"),
        ("storm-long", "patched", records),
        ("storm-debug", "debug", "0"),
        ("storm-kcsan", "kcsan", "0"),
    ):
        os.environ.update(STORM_FLAVOUR=flavour, STORM_RECORDS=length)  # the test reads them there
        suites.append(pyunit.run(name, _TESTS / "e2e", _TESTS, "test_storm.py"))
    return suites


def _disks(base: Base, ksrc: Path | None) -> list[Suite]:
    """Power cuts, failing disks and kills, more often than the end-to-end tests have them."""
    _build_programs()
    return [pyunit.run("disks", _TESTS / "e2e", _TESTS, "stress_disks.py")]


def _week(base: Base, ksrc: Path | None) -> list[Suite]:
    """A week of a machine in WEEK_TIME seconds."""
    _build_programs()
    os.environ["WEEK_TIME"] = str(_positive("WEEK_TIME", "3600"))
    return [pyunit.run("week", _TESTS / "e2e", _TESTS, "stress_week.py")]


def _e2e(base: Base, ksrc: Path | None) -> list[Suite]:
    if (reason := TpmSpec().reason_against()) is not None:
        return _skipped("e2e", reason)
    _build_programs()
    pattern = "test_*.py" if arch.current().native else _E2E_ELSEWHERE
    return [pyunit.run_files("e2e", _TESTS / "e2e", _TESTS, pattern)]


def _matrix(base: Base, ksrc: Path | None) -> list[Suite]:
    if ksrc is not None or given.image() is not None:
        return _skipped("matrix", "KSRC= or KERNEL= names a kernel; the matrix is for those of the bases")
    _build_programs()
    return [matrix.check(base.name)]


def _other_bases(base: Base, ksrc: Path | None) -> list[Suite]:
    """On each other base, the selftests and an end-to-end cycle over kexec."""
    if base.name != DEFAULT_BASE or ksrc is not None or given.image() is not None:
        return _skipped("other-bases", "BASE=, KSRC= or KERNEL= names the only kernel to be tested")
    suites: list[Suite] = []
    for other in BASES.values():
        if other is base or not source.patches(other):
            continue
        if (reason := source.reason_without(other)) is not None:
            suites += _skipped(other.name, reason)
            continue
        _build_programs()  # without them the end-to-end tests are skipped
        found = selftests.run_some(other)
        os.environ["BASE"] = other.name  # the end-to-end tests read it there
        found.append(pyunit.run("e2e", _TESTS / "e2e", _TESTS, "test_kexec.py"))
        os.environ["BASE"] = base.name
        for suite in found:
            suite.name = f"{other.name}-{suite.name}"
        suites += found
    return suites or _skipped("other-bases", "there is no other base")


def _sources(base: Base, ksrc: Path | None) -> Suite:
    """Fail if no base has a source: then nothing of the kernel was tested."""
    suite = Suite("sources")
    reasons = [source.reason_without(base, ksrc)]
    if reasons[0] is not None:
        reasons += [source.reason_without(other) for other in BASES.values() if other is not base]
    if all(reasons):
        suite.add("a base can be tested", Status.FAIL, "\n".join(reason for reason in reasons if reason))
    else:
        suite.add("a base can be tested", Status.PASS)
    return suite


# In the order that finds mistakes soonest. The second item is whether the suite
# needs the series.
SUITES: dict[str, tuple[Runner, bool]] = {
    "lint": (_lint, False),
    "userspace": (_userspace, False),
    "sanitizers": (_sanitizers, False),
    "fuzz": (_fuzz, False),
    "tidy": (_tidy, False),
    "package": (_package, False),
    "harness": (_harness, False),
    "kernel": (_kernel, True),
    "kunit": (_kunit, True),
    "selftests": (selftests.run_all, True),
    "e2e": (_e2e, True),
    "matrix": (_matrix, True),
    "other-bases": (_other_bases, False),
    "threads": (_threads, False),
    "stress": (_stress, True),
    "debug": (_debug, True),
    "storm": (_storm, True),
    "disks": (_disks, True),
    "week": (_week, True),
}
# These repeat tests of other suites, or need kernels of their own, and take long.
# 'userspace' has the tests of 'sanitizers', compiled as the programs are for use.
ON_DEMAND = ("userspace", "matrix", "threads", "stress", "debug", "storm", "disks", "week")
# Of the default suites, what a slow machine leaves out after so many seconds.
_IF_TIME = "other-bases"
_ENOUGH = 3600
# The suites that boot the image of KERNEL=.
_BOOT = ("kunit", "selftests", "e2e", "stress")
# The default for another machine than this one.
_ELSEWHERE = ("userspace", "kunit", "selftests", "e2e")


def _skipped(name: str, reason: str) -> list[Suite]:
    suite = Suite(name)
    suite.add(name, Status.SKIP, reason)
    return [suite]


def _reason_against(name: str, by_default: bool, seconds: float) -> str:
    """Why a check that has taken so many SECONDS does not start the suite NAME, or ''."""
    if not by_default or name != _IF_TIME or seconds < _ENOUGH:
        return ""
    return f"the suites before it took {seconds / 60:.0f} minutes; 'make check SUITES={name}' runs it"


def run_one(name: str, base: Base, ksrc: Path | None) -> list[Suite]:
    """Run one suite. If it cannot run at all, that is a failed test."""
    runner, needs_series = SUITES[name]
    if needs_series and not source.patches(base):
        return _skipped(name, f"kernel-patches/{base.name} has no patches")
    if needs_series and given.image() is None and (reason := source.reason_without(base, ksrc)) is not None:
        return _skipped(name, reason)
    began = time.monotonic()
    try:
        suites = runner(base, ksrc)
    except HarnessError as e:
        suites = [Suite(name)]
        suites[0].add(name, Status.FAIL, str(e))
    if len(suites) == 1 and not suites[0].seconds:
        suites[0].seconds = time.monotonic() - began
    return suites


def _image(file: Path) -> Suite:
    """Check that the image of KERNEL= can run a guest, and print what it lacks."""
    suite = Suite("image")
    began = time.monotonic()
    try:
        print("\n".join(given.describe(file, given.facts(file))))
    except HarnessError as e:
        suite.add(f"{file.name} runs the guest", Status.FAIL, str(e))
    else:
        suite.add(f"{file.name} runs the guest", Status.PASS)
    suite.seconds = time.monotonic() - began
    return suite


def _tell(suite: Suite) -> None:
    for case in suite.cases:
        if case.status is Status.FAIL:
            print(f"FAIL {suite.name}: {case.name}\n{case.detail}")
        elif case.status is Status.SKIP:
            print(f"SKIP {suite.name}: {case.name}: {case.detail.partition(chr(10))[0]}")
    print(f"{suite.name}: {report.closing_line([suite])} ({suite.seconds:.0f} s)", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="check", description="Run the test suites.",
                                     epilog="With KERNEL=BZIMAGE in the environment, kunit, selftests and e2e boot"
                                     " that image and no kernel is built.")  # fmt: skip
    suites = f"one or more of {', '.join(SUITES)}; default: all but {', '.join(ON_DEMAND)}"
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=suites)
    parser.add_argument("--base", default=os.environ.get("BASE") or DEFAULT_BASE, help=f"one of {', '.join(BASES)}")
    parser.add_argument("--ksrc", default=os.environ.get("KSRC") or None, type=Path)
    args = parser.parse_args(argv)
    if args.ksrc is not None:
        os.environ["KSRC"] = str(args.ksrc)  # the end-to-end tests read it there
    if unknown := [s for s in args.suites if s not in SUITES]:
        parser.error(f"unknown suite {', '.join(unknown)}; choose from {', '.join(SUITES)}")
    try:
        base = find_base(args.base)
        image = given.image()
    except HarnessError as e:
        parser.error(str(e))
    os.environ["BASE"] = base.name
    results = new_run_directory("check")
    done: list[Suite] = []
    default = [s for s in SUITES if s not in ON_DEMAND] if arch.current().native else _ELSEWHERE
    names = args.suites or default
    usable = True
    began = time.monotonic()
    if image is not None and set(names) & set(_BOOT):
        print("== image", flush=True)
        done.append(_image(image))
        _tell(done[0])
        usable = not report.failed(done)
    for name in names:
        print(f"== {name}", flush=True)
        reason = _reason_against(name, not args.suites, time.monotonic() - began)
        if not usable and name in _BOOT:
            reason = "the image of KERNEL= cannot run a guest"
        for suite in _skipped(name, reason) if reason else run_one(name, base, args.ksrc):
            done.append(suite)
            _tell(suite)
        report.write(done, results)
    if image is None and any(SUITES[name][1] for name in names):
        done.append(_sources(base, args.ksrc))
        _tell(done[-1])
        report.write(done, results)
    print(f"results: {results}/junit.xml, {results}/results.ktap")
    sys.stderr.flush()
    print(report.closing_line(done), flush=True)
    return 1 if report.failed(done) else 0
