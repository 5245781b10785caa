# SPDX-License-Identifier: GPL-2.0-or-later
"""Break one promise of the series at a time, and check that the tests notice.

qemu-harness/mutations.toml lists promises of the document, each with a change of the
code and the tests that must fail with it. First the tests run on the series as it is,
where they must pass. Then a kernel is built for each mutation.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import time
import tomllib
import unittest
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import arch, kernel, kunit, paths, pyunit, report, selftests, source, userspace
from .bases import BASES, DEFAULT_BASE, Base, find_base
from .errors import EXIT_HARNESS, HarnessError, UsageError
from .guest import new_run_directory
from .report import Status, Suite

LIST = paths.HARNESS / "mutations.toml"
_TESTS = paths.HARNESS / "tests"


@dataclass(frozen=True)
class Edit:
    """The text OLD of a file, which occurs once in it, becomes NEW."""

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        if (count := text.count(self.old)) != 1:
            raise HarnessError(f"{self.file} has this text {count} times, not once:\n{self.old}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Test:
    """A test by the names that 'make check' prints: "suite: case"."""

    __test__ = False  # not a test, despite its name

    suite: str
    case: str

    def __str__(self) -> str:
        return f"{self.suite}: {self.case}"

    @property
    def setting(self) -> selftests.Setting | None:
        """The setting of a selftest."""
        found = (s for s in selftests.SETTINGS if self.suite == f"selftests-{s.name}")
        return next(found, None)


@dataclass(frozen=True)
class Mutation:
    """A promise, the edits that break it, and the tests that notice."""

    name: str
    promise: str
    flavour: str
    edits: tuple[Edit, ...]
    seen_by: tuple[Test, ...]

    @property
    def files(self) -> list[str]:
        return sorted({edit.file for edit in self.edits})

    def apply(self, texts: Mapping[str, str]) -> dict[str, str]:
        """The texts of its files after the edits."""
        after = dict(texts)
        for edit in self.edits:
            after[edit.file] = edit.apply(after[edit.file])
        return after


def load(file: Path = LIST) -> list[Mutation]:
    """The mutations of FILE in their order."""
    with file.open("rb") as f:
        listed = tomllib.load(f)["mutation"]
    found = []
    for m in listed:
        edits = tuple(Edit(e["file"], e["old"], e["new"]) for e in m["edit"])
        tests = tuple(Test(*name.split(": ", 1)) for name in m["seen_by"])
        found.append(Mutation(m["name"], m["promise"], m.get("flavour", "patched"), edits, tests))
    return found


class MutatedTree:
    """The tree with the series, in which files are changed and from which kernels are built."""

    def __init__(self, base: Base, ksrc: Path | None, top: Path) -> None:
        origin = source.find(base, ksrc)
        plain = source.plain_tree(base, origin)
        self.base = base
        self.ksrc = ksrc
        self.top = top
        self.series = source.series_tree(base, plain, source.fitted(base, origin))
        self.src = top / "src"
        wanted = f"{origin.identity} {source.series_digest(base)}"
        stamp = top / "stamp"
        if not (stamp.exists() and stamp.read_text() == wanted and self.src.is_dir()):
            stamp.unlink(missing_ok=True)
            source.link_tree(self.series, self.src)
            stamp.write_text(wanted)
        self.restore()

    @property
    def _changed(self) -> Path:
        """Lists the files that are changed."""
        return self.top / "changed"

    def texts(self, names: Iterable[str]) -> dict[str, str]:
        return {name: (self.series / name).read_text() for name in names}

    def restore(self) -> None:
        """Undo what change() did, even in a run that was interrupted."""
        names = self._changed.read_text().split() if self._changed.exists() else []
        self._write(self.texts(names))
        self._changed.unlink(missing_ok=True)

    def change(self, texts: Mapping[str, str]) -> None:
        self.restore()
        self._changed.write_text("\n".join(texts))
        self._write(texts)

    def _write(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            file = self.src / name
            mode = file.stat().st_mode
            file.unlink()  # it may be a link into the tree of the series
            file.write_text(text)
            file.chmod(mode)

    def image(self, flavour: kernel.Flavour) -> Path:
        """Build the bzImage of the tree as it is; make rebuilds what changed."""
        original = kernel.object_dir(self.base, flavour)
        objects = self.src / original.name
        stamp = objects / "harness-stamp"
        kernel.build(self.base, flavour, self.ksrc)
        if not (stamp.exists() and stamp.read_text() == (original / "harness-stamp").read_text()):
            shutil.rmtree(objects, ignore_errors=True)
            kernel.copy_objects(original, objects)
        log = self.top / f"build-{flavour.name}.log"
        log.unlink(missing_ok=True)
        kernel.make(self.src, objects, [arch.current().image.name], log)
        return objects / kernel.image_file(self.base, flavour).relative_to(original)


@contextmanager
def mutated_tree(base: Base, ksrc: Path | None) -> Iterator[MutatedTree]:
    """The tree, locked against other users, and as the series left it afterwards."""
    top = paths.KERNELS / base.name / "mutations"
    top.mkdir(parents=True, exist_ok=True)
    with (top / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = MutatedTree(base, ksrc, top)
        try:
            yield tree
        finally:
            tree.restore()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _run_selftests(base: Base, programs: Sequence[str], tests: Sequence[Test], image: Path) -> Suite:
    setting = tests[0].setting
    assert setting is not None
    named = tuple(test.case for test in tests if test.case.split(".")[0] in programs)
    # A case that is not a test of a program, such as kmemleak's, is about all that ran before.
    only = replace(setting, tests=named) if len(named) == len(tests) else setting
    return selftests.run(base, programs, only, None, image)


def _run_e2e(tests: Sequence[Test]) -> Suite:
    names = [f"e2e.{test.case}" for test in tests]
    sys.path.insert(0, str(_TESTS))
    try:
        loaded = unittest.TestLoader().loadTestsFromNames(names)
        return pyunit.collect("e2e", loaded, "e2e.")
    finally:
        sys.path.remove(str(_TESTS))


def run_tests(base: Base, programs: Sequence[str], tests: Sequence[Test], image: Path) -> list[Suite]:
    """Run these tests on the kernel IMAGE; one suite for each of their suites."""
    suites = []
    for name in dict.fromkeys(test.suite for test in tests):
        chosen = [test for test in tests if test.suite == name]
        if chosen[0].setting is not None:
            suites.append(_run_selftests(base, programs, chosen, image))
            continue
        with _environment("KERNEL", str(image)):
            suites.append(kunit.run(base) if name == "kunit" else _run_e2e(chosen))
    return suites


def outcome(test: Test, suites: Sequence[Suite]) -> tuple[Status | None, str]:
    """How TEST ended, and its detail. None if it did not end, with what failed instead.

    A test fails, too, if its class cannot be set up: with the mutation, its guest did not end as it must.
    """
    set_up = f"setUpClass (e2e.{test.case.rpartition('.')[0]})"
    for suite in suites:
        if suite.name == test.suite:
            for case in suite.cases:
                if case.name in (test.case, set_up):
                    return case.status, case.detail
    failed = [f"{s.name}: {c.name}: {c.detail}" for s in suites for c in s.cases if c.status is Status.FAIL]
    return None, "\n".join(failed) or "no such test ran"


def _control(tree: MutatedTree, programs: Sequence[str], mutations: Sequence[Mutation]) -> Suite:
    """Run the tests of all MUTATIONS on the series as it is. All must pass."""
    suite = Suite("mutations-control")
    for flavour in dict.fromkeys(m.flavour for m in mutations):
        tests = list(dict.fromkeys(t for m in mutations if m.flavour == flavour for t in m.seen_by))
        suites = run_tests(tree.base, programs, tests, tree.image(kernel.find_flavour(flavour)))
        for test in tests:
            status, detail = outcome(test, suites)
            suite.add(str(test), status if status is Status.PASS else Status.FAIL, detail)
    return suite


def _mutate(tree: MutatedTree, programs: Sequence[str], mutation: Mutation, suite: Suite) -> None:
    began = time.monotonic()
    tree.change(mutation.apply(tree.texts(mutation.files)))
    suites = run_tests(tree.base, programs, mutation.seen_by, tree.image(kernel.find_flavour(mutation.flavour)))
    for test in mutation.seen_by:
        status, detail = outcome(test, suites)
        seen = status is Status.FAIL
        why = "" if seen else f"it did not notice ({status.value if status else 'it did not end'}): {detail}"
        suite.add(f"{mutation.name} is noticed by {test}", Status.PASS if seen else Status.FAIL, why)
        print(f"  {'noticed' if seen else 'MISSED'}: {mutation.name}: {test}", flush=True)
    print(f"  {mutation.name}: {time.monotonic() - began:.0f} s", flush=True)


def run(base: Base, ksrc: Path | None, mutations: Sequence[Mutation]) -> list[Suite]:
    """The control run, then each mutation."""
    programs = selftests.build(base, ksrc)
    if userspace.present() and any(t.suite == "e2e" for m in mutations for t in m.seen_by):
        userspace.build()
    with mutated_tree(base, ksrc) as tree:
        print(f"mutations: {len(mutations)} mutations; first their tests on the series as it is", flush=True)
        control = _control(tree, programs, mutations)
        print(f"{control.name}: {report.closing_line([control])}", flush=True)
        suite = Suite("mutations")
        for mutation in mutations:
            try:
                _mutate(tree, programs, mutation, suite)
            except HarnessError as e:
                suite.add(mutation.name, Status.FAIL, str(e))
                print(f"  FAILED: {mutation.name}: {e}", flush=True)
    return [control, suite]


def _chosen(names: Sequence[str]) -> list[Mutation]:
    mutations = load()
    if unknown := set(names) - {m.name for m in mutations}:
        raise UsageError(f"unknown mutation {', '.join(sorted(unknown))}; --list shows them")
    return [m for m in mutations if not names or m.name in names]


def main(argv: Sequence[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="mutations", description=__doc__, formatter_class=raw)
    parser.add_argument("names", nargs="*", metavar="MUTATION", help="default: all; each takes a minute or two")
    parser.add_argument("--list", action="store_true", help="print names, promises and tests")
    parser.add_argument("--base", default=os.environ.get("BASE") or DEFAULT_BASE, help=f"one of {', '.join(BASES)}")
    parser.add_argument("--ksrc", default=os.environ.get("KSRC") or None, type=Path)
    args = parser.parse_args(argv)
    try:
        mutations = _chosen(args.names)
        if args.list:
            for m in mutations:
                print("\n".join([f"{m.name}: {m.promise}", *(f"    {test}" for test in m.seen_by)]))
            return 0
        suites = run(find_base(args.base), args.ksrc, mutations)
    except HarnessError as e:
        print(f"mutations: {e}", file=sys.stderr)
        return EXIT_HARNESS
    results = new_run_directory("mutations")
    report.write(suites, results)
    for suite in suites:
        for case in suite.cases:
            if case.status is Status.FAIL:
                print(f"FAIL {suite.name}: {case.name}\n{case.detail}")
    print(f"results: {results}/junit.xml, {results}/results.ktap")
    print(report.closing_line(suites))
    return 1 if report.failed(suites) else 0
