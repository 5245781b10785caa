# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of mutations: each one applies to the series, and its tests exist."""

from __future__ import annotations

import contextlib
import io
import re
import unittest
from pathlib import Path

import support
from imaharness import bases, mutations, paths, process, selftests, source
from imaharness.errors import HarnessError
from imaharness.mutations import Edit, Mutation, Test
from imaharness.report import Status, Suite
from imaharness.tpm import TpmSpec

BASE = bases.BASES["v7.3"]
MUTATIONS = mutations.load()
SELFTESTS = paths.ROOT / "selftests"
E2E = paths.HARNESS / "tests/e2e"


def selftest_exists(case: str) -> bool:
    """Whether there is a test called program.fixture.test or program.fixture.variant.test."""
    program, fixture, *variant, name = case.split(".")
    text = (SELFTESTS / f"{program}.c").read_text()
    wanted = [rf"\bTEST_F(?:_TIMEOUT)?\({fixture}, {name}[,)]"]
    wanted += [rf"\bFIXTURE_VARIANT_ADD\({fixture}, {v}\)" for v in variant]
    # With variants, a test has only names that include one.
    if not variant and f"FIXTURE_VARIANT_ADD({fixture}, " in text:
        return False
    return all(re.search(pattern, text) for pattern in wanted)


def e2e_exists(case: str) -> bool:
    module, cls, name = case.split(".")
    body = (E2E / f"{module}.py").read_text().partition(f"\nclass {cls}(")[2].partition("\nclass ")[0]
    return f"\n    def {name}(self)" in body


def kunit_exists(case: str) -> bool:
    suite, name = case.split(".")
    texts = [p.read_text() for p in source.patches(BASE)]
    return any(f"+\tKUNIT_CASE({name})" in text and f'"{suite}"' in text for text in texts)


class Listed(unittest.TestCase):
    def test_each_has_a_name_of_its_own_a_promise_and_tests(self) -> None:
        self.assertEqual(len({m.name for m in MUTATIONS}), len(MUTATIONS))
        self.assertGreaterEqual(len(MUTATIONS), 25)
        for m in MUTATIONS:
            with self.subTest(m.name):
                self.assertTrue(m.promise)
                self.assertTrue(m.edits)
                self.assertTrue(m.seen_by)
                self.assertEqual(len(set(m.seen_by)), len(m.seen_by))

    def test_the_tests_exist_and_run_on_that_flavour(self) -> None:
        for m in MUTATIONS:
            for test in m.seen_by:
                with self.subTest(f"{m.name} {test}"):
                    self.check(m, test)

    def check(self, m: Mutation, test: Test) -> None:
        setting = test.setting
        if setting is None:
            self.assertIn(test.suite, ("kunit", "e2e"))
            self.assertEqual(m.flavour, "patched")
            self.assertTrue(kunit_exists(test.case) if test.suite == "kunit" else e2e_exists(test.case))
            return
        self.assertEqual(setting.flavour, m.flavour)
        if test.case == selftests.LEAKS:
            self.assertTrue(setting.finds_leaks)
            return
        self.assertTrue(selftest_exists(test.case))
        program = test.case.split(".")[0]
        self.assertEqual(setting.of([program]), [program])

    def test_those_that_do_not_exist_are_missed(self) -> None:
        self.assertFalse(selftest_exists("snapshot_open_test.open.no_such_test"))
        self.assertFalse(selftest_exists("snapshot_open_test.access_mode.is_refused_and_records_nothing"))
        self.assertFalse(selftest_exists("snapshot_open_test.access_mode.no_such_mode.is_refused_and_records_nothing"))
        self.assertFalse(e2e_exists("test_kexec.Kexec.test_nothing"))
        self.assertFalse(kunit_exists("ima_snapshot.nothing"))


class Applying(support.TemporaryDirectory):
    """Files that the series makes are made from the patches. Others need the unpacked source."""

    def made_by_the_series(self) -> set[str]:
        names: set[str] = set()
        for patch in source.patches(BASE):
            names.update(re.findall(r"^--- /dev/null\n\+\+\+ b/(\S+)$", patch.read_text(), re.MULTILINE))
        return names

    def patched_files(self, names: set[str]) -> None:
        include = [f"--include={name}" for name in sorted(names)]
        process.output(["git", "init", "-q", self.tmp])
        for patch in source.patches(BASE):
            process.output(["git", "apply", *include, patch], cwd=self.tmp)

    def series_tree(self) -> Path | None:
        """The unpacked source with the series as it is now, if there is one."""
        top = paths.KERNELS / BASE.name / "series"
        applied = top / "applied"
        series = "".join(p.read_text() for p in source.patches(BASE))
        return top / "src" if applied.exists() and applied.read_text() == series else None

    def check(self, tree: Path, m: Mutation) -> None:
        texts = {name: (tree / name).read_text() for name in m.files}
        with self.subTest(m.name):
            after = m.apply(texts)
            self.assertNotEqual(after, texts)

    def test_they_apply_to_the_files_that_the_series_makes(self) -> None:
        made = self.made_by_the_series()
        chosen = [m for m in MUTATIONS if set(m.files) <= made]
        self.assertGreater(len(chosen), len(MUTATIONS) // 2)
        self.patched_files({name for m in chosen for name in m.files})
        for m in chosen:
            self.check(self.tmp, m)

    def test_they_apply_to_the_tree_with_the_series(self) -> None:
        tree = self.series_tree()
        if tree is None:
            self.skipTest("the kernel's source is not unpacked, or has another series")
        for m in MUTATIONS:
            self.check(tree, m)

    def test_text_that_is_not_there_once_is_refused(self) -> None:
        for text in ("", "a b a"):
            with self.assertRaisesRegex(HarnessError, "f has this text [02] times, not once:\na"):
                Edit("f", "a", "c").apply(text)
        self.assertEqual(Edit("f", "a", "c").apply("a b"), "c b")


class Judging(support.TemporaryDirectory):
    def suite(self, status: Status) -> Suite:
        suite = Suite("kunit")
        suite.add("s.case", status, "detail")
        return suite

    def test_a_test_that_passes_or_is_skipped_did_not_notice(self) -> None:
        test = Test("kunit", "s.case")
        for status in Status:
            self.assertEqual(mutations.outcome(test, [self.suite(status)]), (status, "detail"))

    def test_a_test_that_did_not_run_did_not_notice(self) -> None:
        test = Test("kunit", "s.other")
        self.assertEqual(mutations.outcome(test, [self.suite(Status.PASS)]), (None, "no such test ran"))
        self.assertEqual(mutations.outcome(test, [self.suite(Status.FAIL)]), (None, "kunit: s.case: detail"))

    def test_a_test_whose_class_cannot_be_set_up_noticed(self) -> None:
        suite = Suite("e2e")
        suite.add("setUpClass (e2e.test_x.Class)", Status.FAIL, "detail")
        self.assertEqual(mutations.outcome(Test("e2e", "test_x.Class.test_y"), [suite]), (Status.FAIL, "detail"))
        self.assertIsNone(mutations.outcome(Test("e2e", "test_x.Other.test_y"), [suite])[0])

    def test_options_run_the_named_tests_alone(self) -> None:
        setting = selftests.Setting("x", "patched", TpmSpec(), tests=("a_test.f.one", "b_test.f.v.two"))
        self.assertEqual(setting.of(["a_test", "b_test", "c_test"]), ["a_test", "b_test"])
        self.assertEqual(setting.options("a_test"), ["-r", "f.one"])
        self.assertEqual(setting.options("b_test"), ["-r", "f.v.two"])

    def test_an_unknown_name_is_refused(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertNotEqual(mutations.main(["no-such-mutation"]), 0)
        self.assertIn("unknown mutation no-such-mutation", said.getvalue())


class Changing(support.TemporaryDirectory):
    """A tree whose files are links into that of the series."""

    def test_the_tree_of_the_series_stays_as_it_is(self) -> None:
        series, top = self.tmp / "series", self.tmp / "mutations"
        series.mkdir()
        (series / "f").write_text("old\n")
        top.mkdir()
        source.link_tree(series, top / "src")
        tree = mutations.MutatedTree.__new__(mutations.MutatedTree)
        tree.series, tree.src, tree.top = series, top / "src", top
        tree.change({"f": "new\n"})
        self.assertEqual((top / "src/f").read_text(), "new\n")
        self.assertEqual((series / "f").read_text(), "old\n")

        # Another run after an interrupted one finds it whole, and newer than its objects.
        built = (top / "src/f").stat().st_mtime_ns
        again = mutations.MutatedTree.__new__(mutations.MutatedTree)
        again.series, again.src, again.top = series, top / "src", top
        again.restore()
        self.assertEqual((top / "src/f").read_text(), "old\n")
        self.assertGreaterEqual((top / "src/f").stat().st_mtime_ns, built)


if __name__ == "__main__":
    unittest.main()
