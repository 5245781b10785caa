# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion and manuals know every command and option that --help prints."""

from __future__ import annotations

import re
import subprocess
import unittest
from collections.abc import Iterable
from pathlib import Path

import support
from imaharness import paths

from . import programs
from .programs import Command

_COMPLETION = paths.ROOT / "userspace" / "completions" / "ima-snapshot"
_LIBRARY = Path("/usr/share/bash-completion/bash_completion")
_PROGRAMS = ("ima-snapshot", "ima-snapshotd")

# Does what readline does on a tab, for each line of the input; the last word of the
# line is incomplete. An empty line ends the list of completions.
_COMPLETE = r"""
source "$1" && source "$2" || exit 2
compopt() { :; }
while IFS= read -r line; do
	COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMP_KEY=9 COMPREPLY=()
	eval "COMP_WORDS=(${line//=/ = })"
	[[ $line != *[[:space:]=] ]] || COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_ima_snapshot "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" || exit
	printf '%s\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}" ""
done
"""


class Completing(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        if not _LIBRARY.is_file():
            self.skipTest("bash-completion is not installed")

    def complete(self, *lines: str) -> list[list[str]]:
        """The completions that bash offers at the end of each line, which begins with a program's name."""
        typed = "".join(f"{programs.find(line.split(' ')[0])} {line.partition(' ')[2]}\n" for line in lines)
        argv: list[str | Path] = ["bash", "-c", _COMPLETE, "complete", _LIBRARY, _COMPLETION]
        done = subprocess.run(argv, input=typed, cwd=self.tmp, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), typed)
        offered: list[list[str]] = []
        words: list[str] = []
        for word in done.stdout.splitlines():
            if word:
                words.append(word)
            else:
                offered.append(sorted(words))
                words = []
        self.assertEqual(len(offered), len(lines))
        return offered

    def assert_offers(self, expected: dict[str, list[str]]) -> None:
        """Check that bash completes each line of EXPECTED with its words."""
        for (line, words), offered in zip(expected.items(), self.complete(*expected), strict=True):
            self.assertEqual(offered, words, line)

    def commands(self) -> list[tuple[Command, dict[str, str]]]:
        """Every command with its options, including those of the commands above it."""
        found = []

        def add(command: Command, above: dict[str, str]) -> None:
            options = above | command.options
            found.append((command, options))
            for below in command.commands:
                add(below, options)

        for name in _PROGRAMS:
            try:
                add(programs.describe(name), {})
            except unittest.SkipTest:
                if name == _PROGRAMS[0]:
                    raise
        return found

    def test_the_commands_that_help_lists(self) -> None:
        parents = [command for command, _ in self.commands() if command.commands]
        self.assertTrue(parents)
        self.assert_offers({f"{c.name} ": sorted(below.words[-1] for below in c.commands) for c in parents})

    def test_the_options_that_help_lists_and_no_others(self) -> None:
        for _, options in self.commands():
            self.assertLessEqual({"--help", "--config", "--store"}, set(options))
        self.assert_offers({f"{command.name} -": sorted(options) for command, options in self.commands()})

    def test_the_beginning_of_a_word(self) -> None:
        self.assert_offers(
            {
                "ima-snapshot ta": ["take"],
                "ima-snapshot take --ma": ["--mark"],
                "ima-snapshot --json ver": ["verify"],
                "ima-snapshot no-such": [],
            }
        )

    def test_files_and_directories_where_an_option_takes_them(self) -> None:
        (self.tmp / "file").write_text("")
        (self.tmp / "folder").mkdir()
        offered = {kind: ["file", "folder"] for kind in ("FILE", "MSG", "SIG", "PUB")} | {"DIR": ["folder"]}
        expected = {}
        for command, options in self.commands():
            for option, kind in options.items():
                if kind in offered and option.startswith("--"):
                    expected[f"{command.name} {option} "] = offered[kind]
                    expected[f"{command.name} {option}=fo"] = ["folder"]
        self.assertIn("ima-snapshot --config ", expected)
        self.assertIn("ima-snapshot take --store ", expected)
        self.assertIn("ima-snapshot verify --quote ", expected)
        self.assert_offers(expected)

    def test_the_values_where_an_option_takes_some_words(self) -> None:
        expected = {}
        for command, options in self.commands():
            for option, kind in options.items():
                if kind.endswith("}"):
                    words = kind.partition("{")[2].removesuffix("}").split(",")
                    expected[f"{command.name} {option} "] = sorted(words)
        if not expected:
            self.skipTest("no option does")
        self.assert_offers(expected)

    def test_a_value_is_no_command(self) -> None:
        self.assert_offers(
            {"ima-snapshot --store take ta": ["take"], "ima-snapshot --store=take ver": ["verify"]}
        )

    def test_a_number_is_left_to_the_user(self) -> None:
        self.assert_offers({"ima-snapshot cat --from ": [], "ima-snapshot cat --from 1 --as": ["--ascii"]})

    def test_the_algorithms_that_cat_knows(self) -> None:
        (offered,) = self.complete("ima-snapshot cat --hash ")
        self.assertIn("sha256", offered)
        for name in (*offered, "no-such"):
            # --json with --ascii is always refused, so that no log is read.
            command: list[str | Path] = [programs.find("ima-snapshot"), "cat", "--json", "--ascii", "--hash", name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertEqual("is not known" in done.stderr, name == "no-such", done.stderr)
        self.assert_offers({"ima-snapshot cat --hash=sha2": ["sha256"]})

    def test_the_segments_of_the_store_that_the_line_names(self) -> None:
        session = self.tmp / "store" / "boots" / "00000001"
        session.mkdir(parents=True)
        for name in ("00000001.ima", "00000009.ima", "00000009.json", "00000010.ima", "00000011.ima.tmp"):
            (session / name).write_text("")
        (self.tmp / "store" / "current").symlink_to("boots/00000001")
        self.assert_offers(
            {
                "ima-snapshot --store store show ": ["1", "10", "9", "live", "staged"],
                "ima-snapshot --store=store show 1": ["1", "10"],
                "ima-snapshot --store store show 1 ": [],
                "ima-snapshot --store none show ": ["live", "staged"],
            }
        )

    def test_bash_finds_it_by_the_names_of_the_programs(self) -> None:
        script = f"source {_LIBRARY}; source {_COMPLETION}; complete -p {' '.join(_PROGRAMS)}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        for name in _PROGRAMS:
            self.assertIn(f"complete -F _ima_snapshot {name}", done.stdout)


class Manuals(unittest.TestCase):
    def assert_names(self, page: str, command: Command, words: Iterable[str]) -> None:
        text = programs.manual(page)
        for word in words:
            found = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
            self.assertTrue(found, f"{command.name}: {word} is not in the manual page {page}")

    def test_every_command_is_in_the_manual_of_its_program(self) -> None:
        for name in _PROGRAMS:
            with self.subTest(name):
                for command in programs.describe(name).all():
                    self.assert_names(name, command, command.words)

    def test_every_option_is_in_the_manual_of_its_command(self) -> None:
        for name in _PROGRAMS:
            with self.subTest(name):
                common = programs.describe(name).options
                self.assert_names(name, programs.describe(name), common)
                for command in programs.describe(name).all():
                    own = (option for option in command.options if option not in common)
                    self.assert_names(programs.page_of(command), command, own)

    def test_pages_refer_to_each_other(self) -> None:
        for page in sorted(programs.MANUALS.glob("ima-snapshot*.[1-8]")):
            _, found, see_also = page.read_text().partition(".SH SEE ALSO\n")
            self.assertTrue(found, f"{page.name} has no SEE ALSO")
            for name, section in re.findall(r"^\.BR (ima-snapshot\S*) \((\d)\)", see_also, re.M):
                other = programs.MANUALS / f"{name}.{section}"
                self.assertTrue(other.is_file(), f"{page.name} refers to {name}({section})")
                back = other.read_text().partition(".SH SEE ALSO\n")[2]
                self.assertIn(f".BR {page.stem} ({page.suffix[1:]})", back, f"{other.name} does not refer back")

    def test_every_help_has_an_example_of_its_command(self) -> None:
        for name in _PROGRAMS:
            with self.subTest(name):
                for command in programs.describe(name).all():
                    _, title, examples = command.help.partition("\nExamples:\n")
                    self.assertTrue(title, f"{command.name} --help has no examples")
                    self.assertIn(" ".join(command.words), examples)

    def test_a_mistake_points_to_help(self) -> None:
        done = subprocess.run(
            [programs.find("ima-snapshot"), "no-such-command"], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, "")
        self.assertIn("--help", done.stderr)


