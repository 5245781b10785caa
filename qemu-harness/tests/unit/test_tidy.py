# SPDX-License-Identifier: GPL-2.0-or-later
"""clang-tidy's runner: what is checked together, what is checked again, who is blamed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import support
from imaharness import clang, paths, tidy, userspace
from imaharness.report import Status, Suite
from imaharness.tidy import Outcome, Unit


class Tree(support.TemporaryDirectory):
    """A small userspace/ in place of the project's."""

    def setUp(self) -> None:
        super().setUp()
        self.source = self.tmp / "userspace"
        self.work = self.tmp / "tidy"
        self.work.mkdir()
        for patch in (
            mock.patch.object(userspace, "SOURCE", self.source),
            mock.patch.object(tidy, "_WORK", self.work),
            mock.patch.object(tidy, "_CLEAN", self.work / "clean.json"),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def file(self, name: str, text: str = "") -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def unit(self, name: str, text: str = "") -> Unit:
        return Unit(self.file(name, text), (f"-I{self.source / 'src'}",))


class Units(Tree):
    def test_flags_are_those_that_give_the_file_its_meaning(self) -> None:
        command = "/usr/bin/c++ -DA=\\\"1\\\" -I/x -isystem /y -O2 -g -Wall -Werror -std=c++20 -o a.o -c /a.cc"
        self.assertEqual(
            tidy.meaningful_flags(command), ('-DA="1"', "-I/x", "-isystem", "/y", "-std=c++20")
        )

    def test_tests_and_what_is_outside_are_left_out(self) -> None:
        files = [self.file("src/b.cc"), self.file("src/a.cc"), self.file("tests/a_test.cc"), Path("/usr/x.cc")]
        database = self.tmp / "compile_commands.json"
        database.write_text(json.dumps([{"file": str(f), "command": f"c++ -c {f}"} for f in files]))
        self.assertEqual([u.name for u in tidy.read_units(database)], ["src/a.cc", "src/b.cc"])

    def test_flags_of_a_batch_are_those_of_all_its_files_once(self) -> None:
        one = Unit(self.file("src/a.cc"), ("-isystem", "/x", "-DA"))
        two = Unit(self.file("src/b.cc"), ("-isystem", "/y", "-DA", "-isystem", "/x"))
        self.assertEqual(tidy.all_flags([one, two]), ["-isystem", "/x", "-DA", "-isystem", "/y"])

    def test_batches_keep_directories_apart_and_lose_nothing(self) -> None:
        units = [self.unit(f"src/{i}.cc") for i in range(40)] + [self.unit(f"cli/{i}.cc") for i in range(3)]
        made = tidy.batches(units, 2)
        self.assertEqual(sorted(u.name for batch in made for u in batch), sorted(u.name for u in units))
        for batch in made:
            self.assertEqual(len({u.file.parent for u in batch}), 1)
            self.assertLessEqual(len(batch), 16)
        self.assertEqual([len(b) for b in made], [14, 13, 13, 3])

    def test_no_units_no_batches(self) -> None:
        self.assertEqual(tidy.batches([], 2), [])


class Keys(Tree):
    def key(self, unit: Unit, settings: bytes = b"1") -> str:
        return tidy.key_of(unit, settings)

    def test_a_change_of_anything_that_counts_changes_the_key(self) -> None:
        self.file("src/deep.h", "int a;\n")
        self.file("src/near.h", '#include "deep.h"\n')
        unit = self.unit("cli/a.cc", '#include <vector>\n#include "near.h"\n')
        keys = [self.key(unit)]
        keys.append(self.key(unit, b"2"))
        keys.append(self.key(Unit(unit.file, (*unit.flags, "-DX"))))
        self.file("src/deep.h", "int b;\n")
        keys.append(self.key(unit))
        self.file("cli/a.cc", '#include "near.h"\n')
        keys.append(self.key(unit))
        self.assertEqual(len(set(keys)), len(keys))

    def test_a_header_that_is_not_included_does_not(self) -> None:
        unit = self.unit("src/a.cc", '#include "own.h"\n')
        self.file("src/own.h", '#include "own.h"\n')
        before = self.key(unit)
        self.file("src/other.h", "int a;\n")
        self.assertEqual(self.key(unit), before)


class Running(Tree):
    """The runner with a clang-tidy that answers what a test says."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[list[str]] = []
        self.file(".clang-tidy", "Checks: x\n")

    @contextmanager
    def clang_tidy(self, answers: dict[str, str], together: str = "") -> Iterator[None]:
        """ANSWERS: what is found in a file that is named so; TOGETHER: in more than one at once."""

        def run(argv: Sequence[str | Path], **_: object) -> subprocess.CompletedProcess[str]:
            checked = Path(next(a for a in argv[1:] if str(a).endswith(".cc")))
            files = [checked]
            if checked.parent == self.work:
                files = [Path(line.split('"')[1]) for line in checked.read_text().splitlines()]
            self.asked.append([str(argv[0]), *sorted(f.name for f in files)])
            if argv[0] == "clang++":
                text = together
            else:
                text = "".join(answers.get(f.name, "") for f in files)
            return subprocess.CompletedProcess(argv, 1 if text else 0, text, "")

        database = self.tmp / "build" / "compile_commands.json"
        database.parent.mkdir(exist_ok=True)
        sources = sorted(self.source.glob("src/*.cc"))
        database.write_text(json.dumps([{"file": str(f), "command": f"c++ -c {f}"} for f in sources]))
        self.asked.clear()
        with (
            mock.patch.object(subprocess, "run", run),
            mock.patch.object(paths, "USERSPACE_BUILD", database.parent),
            mock.patch.object(tidy, "_settings", lambda: b"s"),
            mock.patch.object(userspace, "configure_programs"),
            mock.patch.object(clang, "unsuitable", lambda tool: ""),
        ):
            yield

    def failed(self, suite: Suite) -> list[str]:
        return [c.name for c in suite.cases if c.status is Status.FAIL]

    def test_what_was_clean_is_not_checked_again_until_it_changes(self) -> None:
        self.unit("src/a.cc", "1")
        self.unit("src/b.cc", "1")
        with self.clang_tidy({}):
            tidy.run()
            self.assertEqual(self.asked, [["clang++", "a.cc", "b.cc"], ["clang-tidy", "a.cc", "b.cc"]])
            self.asked.clear()
            suite = tidy.run()
            self.assertEqual(self.asked, [])
            self.assertEqual(suite.count(Status.PASS), 2)
            self.unit("src/b.cc", "2")
            tidy.run()
            self.assertEqual(self.asked, [["clang-tidy", "b.cc"]])

    def test_a_finding_fails_its_file_and_is_found_again(self) -> None:
        for name in ("a", "b"):
            self.unit(f"src/{name}.cc")
        finding = f"{self.source}/src/b.cc:3:5: error: bad thing [bugprone-x]\n  code\n  ^\n"
        with self.clang_tidy({"b.cc": finding}):
            for _ in range(2):
                suite = tidy.run()
                self.assertEqual(self.failed(suite), ["src/b.cc"])
                self.assertEqual(suite.count(Status.PASS), 1)
                self.assertIn("bad thing", next(c.detail for c in suite.cases if c.detail))

    def test_a_finding_in_a_header_fails_under_the_header_s_name(self) -> None:
        self.unit("src/a.cc")
        with self.clang_tidy({"a.cc": "/x/src/a.h:1:1: error: bad [y]\n"}):
            self.assertEqual(self.failed(tidy.run()), ["/x/src/a.h"])

    def test_files_whose_names_collide_are_checked_apart(self) -> None:
        for name in ("a", "b"):
            self.unit(f"src/{name}.cc")
        collision = f"{self.source}/src/b.cc:1:1: error: redefinition of 'X' [clang-diagnostic-error]\n"
        with self.clang_tidy({}, together=collision):
            suite = tidy.run()
        self.assertEqual(self.asked, [["clang++", "a.cc", "b.cc"], ["clang-tidy", "a.cc"], ["clang-tidy", "b.cc"]])
        self.assertEqual((suite.count(Status.PASS), suite.count(Status.FAIL)), (2, 0))

    def test_a_complaint_without_a_place_fails_all_of_the_batch(self) -> None:
        suite = Suite("tidy")
        units = (self.unit("src/a.cc"), self.unit("src/b.cc"))
        tidy._add(suite, Outcome(units, "exit -11"))
        self.assertEqual(self.failed(suite), ["src/a.cc", "src/b.cc"])
