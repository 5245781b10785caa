# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner of the fuzzers and that of sharded tests, with fake programs."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from unittest import mock

import support
from imaharness import fuzz, sanitizers
from imaharness.report import Status


class Fuzzing(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        for name, value in (("_WORK", self.tmp / "work"), ("_CORPUS", self.tmp / "corpus")):
            patch = mock.patch.object(fuzz, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        build = mock.patch.object(sanitizers, "build", lambda: self.tmp)
        build.start()
        self.addCleanup(build.stop)

    def program(self, name: str, body: str, corpus: bool = True) -> None:
        file = self.tmp / "fuzz" / f"fuzz_{name}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
        if corpus:
            (self.tmp / "corpus" / name).mkdir(parents=True)
            (self.tmp / "corpus" / name / "seed").write_text("x")

    def main(self, *argv: str) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                status = fuzz.main(argv)
            except SystemExit as e:
                status = int(str(e.code))
        return status, said.getvalue()

    def test_each_target_is_a_test_and_runs_a_fixed_number_of_inputs(self) -> None:
        self.program("a", 'echo "$@"')
        self.program("b", "exit 77")
        suite = fuzz.run()
        self.assertEqual([(c.name, c.status) for c in suite.cases], [("a", Status.PASS), ("b", Status.FAIL)])
        self.assertIn(str(self.tmp / "work" / "b"), suite.cases[1].detail)
        said = (self.tmp / "work" / "a" / "log").read_text()
        self.assertIn("-seed=1 -runs=", said)
        self.assertNotIn("max_total_time", said)

    def test_the_corpus_of_the_tree_comes_last_so_that_nothing_is_written_to_it(self) -> None:
        self.program("a", 'for last; do :; done; echo "last=$last"')
        fuzz.run()
        said = (self.tmp / "work" / "a" / "log").read_text()
        self.assertIn(f"last={self.tmp / 'corpus' / 'a'}\n", said)

    def test_what_an_earlier_check_found_is_not_where_the_next_begins(self) -> None:
        self.program("a", "exit 0")
        stale = self.tmp / "work" / "a" / "check" / "input"
        stale.parent.mkdir(parents=True)
        stale.write_text("x")
        fuzz.run()
        self.assertFalse(stale.exists())

    def test_no_target_and_no_corpus_fail(self) -> None:
        self.assertEqual(fuzz.run().count(Status.FAIL), 1)
        self.program("a", "exit 0", corpus=False)
        self.assertIn("no corpus", fuzz.run().cases[0].detail)

    def test_the_command_runs_all_and_fails_when_one_does(self) -> None:
        self.program("a", "exit 1")
        self.program("b", "echo 'stat::number_of_executed_units: 12'")
        status, said = self.main("--seconds", "7")
        self.assertEqual(status, 1)
        self.assertIn("number_of_executed_units: 12", said)
        self.assertEqual(self.main("--seconds", "7", "b")[0], 0)

    def test_no_time_and_unknown_targets_are_refused(self) -> None:
        self.program("a", "exit 0")
        self.assertEqual(self.main("--seconds", "0")[0], 2)
        status, said = self.main("x")
        self.assertEqual(status, 2)
        self.assertIn("unknown target x; choose from a", said)


_SHARD = """#!/bin/sh
for arg; do case $arg in --gtest_output=xml:*) xml=${arg#--gtest_output=xml:};; esac; done
echo "shard $GTEST_SHARD_INDEX of $GTEST_TOTAL_SHARDS" >&2
"""
_XML = '<testsuites><testsuite name="S"><testcase name="{}" classname="S" status="run"/></testsuite></testsuites>'


class Shards(support.TemporaryDirectory):
    def program(self, body: str) -> Path:
        file = self.tmp / "x_tests"
        file.write_text(_SHARD + body + "\n")
        file.chmod(0o755)
        return file

    def test_the_tests_of_a_shard_are_counted(self) -> None:
        program = self.program("echo '" + _XML.format("t$") + "' | sed s/[$]/$GTEST_SHARD_INDEX/ >$xml")
        for index in range(2):
            suite = sanitizers.run_shard(program, index, 2)
            self.assertEqual([(c.name, c.status) for c in suite.cases], [(f"S.t{index}", Status.PASS)])

    def test_a_shard_that_dies_fails_with_what_it_said(self) -> None:
        suite = sanitizers.run_shard(self.program("echo heap-use-after-free >&2; kill -ABRT $$"), 1, 2)
        self.assertEqual([c.name for c in suite.cases], ["x_tests shard 2 of 2"])
        self.assertIn("heap-use-after-free", suite.cases[0].detail)

    def test_a_leak_fails_though_all_tests_passed(self) -> None:
        suite = sanitizers.run_shard(self.program("echo '" + _XML.format("t") + "' >$xml; exit 23"), 0, 2)
        self.assertEqual([c.status for c in suite.cases], [Status.PASS, Status.FAIL])

    def test_results_of_an_earlier_run_are_not_taken(self) -> None:
        program = self.program("exit 1")
        (self.tmp / "x_tests.0.xml").write_text(_XML.format("old"))
        suite = sanitizers.run_shard(program, 0, 2)
        self.assertEqual([c.status for c in suite.cases], [Status.FAIL])

    def test_a_run_of_no_test_fails(self) -> None:
        self.program("echo '<testsuites/>' >$xml")
        with mock.patch.object(sanitizers, "build", lambda kind: self.tmp):
            suite = sanitizers.run(sanitizers.THREADS)
        self.assertEqual([(c.name, c.status) for c in suite.cases], [("tests", Status.FAIL)])

    def test_test_programs_are_those_that_can_run(self) -> None:
        program = self.program("exit 0")
        (self.tmp / "some_tests").write_text("")
        self.assertEqual(sanitizers.test_programs(self.tmp), [program])
