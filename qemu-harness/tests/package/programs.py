# SPDX-License-Identifier: GPL-2.0-or-later
"""The built programs, and the commands and options that their --help lists."""

from __future__ import annotations

import re
import subprocess
import unittest
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import support  # noqa: F401  (puts the harness on the path)
from imaharness import paths

MANUALS = paths.ROOT / "userspace" / "man"
# The commands that have a manual page of their own.
_PAGES = {
    "ima-snapshot verify": "ima-snapshot-verify",
    "ima-snapshot ak": "ima-snapshot-quote",
    "ima-snapshot evidence": "ima-snapshot-evidence",
    "ima-snapshot quote": "ima-snapshot-quote",
    "ima-snapshot mount": "ima-snapshot-mount",
}


@dataclass(frozen=True)
class Command:
    """A program or one of its commands."""

    words: tuple[str, ...]  # ("ima-snapshot", "take")
    help: str
    options: dict[str, str]  # name: kind of its value, such as FILE or ALG:{rsa,ecc}; empty without a value
    positionals: list[str]
    commands: list[Command] = field(default_factory=list)

    @property
    def name(self) -> str:
        return " ".join(self.words)

    def all(self) -> Iterator[Command]:
        yield self
        for command in self.commands:
            yield from command.all()


def find(name: str) -> Path:
    """The built program NAME; skips the test if it was not built."""
    for directory in (paths.USERSPACE_BUILD, paths.USERSPACE_BUILD / "daemon"):
        if (directory / name).is_file():
            return directory / name
    raise unittest.SkipTest(f"{name} is not built in {paths.USERSPACE_BUILD}")


def _section(text: str, title: str) -> list[str]:
    found = re.search(rf"^{title}:\n((?:  .*\n)*)", text, re.M)
    return found[1].splitlines() if found else []


def _options(text: str) -> dict[str, str]:
    found = {}
    for line in _section(text, "Options"):
        match = re.match(r"  (-[^ ]+)(?: ([A-Z]+(?::\{.*?\})?)(?=[ :]|$))?", line)
        for name in match[1].split(",") if match else ():
            found[name] = match[2] or "" if match else ""
    return found


def _first_words(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if re.match(r"  \S", line)]


def _ask(program: Path, words: tuple[str, ...]) -> Command:
    done = subprocess.run([program, *words[1:], "--help"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{' '.join(words)} --help: exit {done.returncode}: {done.stderr}")
    return Command(
        words,
        done.stdout,
        _options(done.stdout),
        _first_words(_section(done.stdout, "Positionals")),
        [_ask(program, (*words, name)) for name in _first_words(_section(done.stdout, "Subcommands"))],
    )


@cache
def describe(name: str) -> Command:
    return _ask(find(name), (name,))


def page_of(command: Command) -> str:
    """The name of the manual page that describes a program or one of its commands."""
    return _PAGES.get(" ".join(command.words[:2]), command.words[0])


def manual(name: str) -> str:
    """A manual page as plain text, without troff's escapes and fonts."""
    (page,) = MANUALS.glob(f"{name}.[18]")
    text = re.sub(r"\\f[A-Z]|\\&", "", page.read_text()).replace("\\-", "-")
    return re.sub(r'^\.(?:BR|BI|RB|RI|IR|IB|B|I)\s+(.*)$', lambda m: m[1].replace('" "', " ").replace('"', ""), text, flags=re.M)
