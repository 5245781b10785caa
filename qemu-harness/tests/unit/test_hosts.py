# SPDX-License-Identifier: GPL-2.0-or-later
"""What 'make hosts' concludes from its steps and records."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import support
from imaharness import hosts, process
from imaharness.hosts import PLANS, Ended, Host, Step


def ended(command: str, status: int = 0, last_line: str = "done", commit: str = "one") -> Ended:
    return Ended(command, "root", status, 61, last_line, 3, commit, "2026-01-01")


class Conclusion(support.TemporaryDirectory):
    def test_the_last_line_is_the_counts_if_there_are_any(self) -> None:
        counts = "3 passed, 1 failed, 0 skipped"
        self.assertEqual(hosts.last_line(f"a\n{counts}\nmake: *** Error 1\n"), counts)
        readme = "2 commands of README.md were run, 1 failed"
        self.assertEqual(hosts.last_line(f"{counts}\n{readme}\n"), readme)
        self.assertEqual(hosts.last_line("a\n  b \n\n"), "b")
        self.assertEqual(hosts.last_line(""), "")

    def test_versions_are_those_of_the_programs_not_of_their_packages(self) -> None:
        self.assertEqual(hosts.first_version("gcc (Debian 12.2.0-14+deb12u1) 12.2.0\n"), "12.2.0")
        self.assertEqual(hosts.first_version("systemd 257 (257.13-1~deb13u1)\n"), "257")
        self.assertEqual(hosts.first_version("3.17.2\n"), "3.17.2")
        self.assertEqual(hosts.first_version("none"), "unknown")

    def test_a_host_is_good_only_if_every_step_is_and_one_ran(self) -> None:
        host = Host("trixie")
        self.assertFalse(host.ok)
        host.steps["demo"] = ended("make demo")
        self.assertTrue(host.ok)
        host.steps["check"] = ended("make check", 2, "1 passed, 1 failed, 0 skipped")
        self.assertFalse(host.ok)
        self.assertIn("check FAILED (2)", host.line())

    def test_a_failed_step_does_not_stop_the_next(self) -> None:
        ran: list[str] = []

        def run(root: Path, step: Step, log: Path) -> Ended:
            ran.append(step.name)
            return ended(step.command, 1)

        with mock.patch.object(hosts, "make_root", lambda suite: self.tmp), mock.patch.object(hosts, "_tools", lambda root: {}):
            host = hosts.run_host("trixie", PLANS["trixie"], run)
        self.assertEqual(ran, ["demo", "check", "readme", "user-demo", "user-check"])
        self.assertFalse(host.ok)

    def test_a_command_that_fails_gives_its_status_and_what_it_left(self) -> None:
        with mock.patch.object(hosts, "_enter", lambda root, step: ["bash", "-c", step.command]):
            (self.tmp / "root" / "ima" / "build").mkdir(parents=True)
            (self.tmp / "root" / "ima" / "build" / "image").write_bytes(bytes(2_500_000))
            git = ("git", "-C", self.tmp / "root" / "ima", "-c", "user.name=T", "-c", "user.email=t@example.org")
            process.output([*git, "init", "-q"])
            process.output([*git, "commit", "-q", "--allow-empty", "-m", "One"])
            commit = process.output([*git, "rev-parse", "HEAD"])
            ended = hosts.run_step(self.tmp, Step("check", "echo text; exit 7"), self.tmp / "log")
        self.assertEqual((ended.status, ended.last_line, ended.built_mb, ended.commit), (7, "text", 3, commit[:12]))


class Record(support.TemporaryDirectory):
    def test_a_round_replaces_the_rows_of_its_host_and_steps_alone(self) -> None:
        file = self.tmp / "hosts.json"
        for suite, step, commit in (("sid", "demo", "one"), ("sid", "check", "one"), ("trixie", "demo", "one"), ("sid", "demo", "two")):
            hosts.record(Host(suite, {step: ended(f"make {step}", commit=commit)}), file)
        kept = json.loads(file.read_text())
        commits = {(name, step): e["commit"] for name, host in kept.items() for step, e in host["steps"].items()}
        self.assertEqual(commits, {("trixie", "demo"): "one", ("sid", "demo"): "two", ("sid", "check"): "one"})
        lines = (self.tmp / "hosts.md").read_text().splitlines()
        self.assertEqual(len([line for line in lines if "`make demo`" in line]), 2)
