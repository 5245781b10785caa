# SPDX-License-Identifier: GPL-2.0-or-later
"""What is run in the guest of a setting, and how its results are collected."""

from __future__ import annotations

import os
import unittest
from pathlib import Path
from unittest import mock

import support
from imaharness import bases, check, given, kernel, selftests, source, userspace
from imaharness.guest import GuestResult, GuestSpec, Outcome
from imaharness.report import Status, Suite
from imaharness.selftests import Setting
from imaharness.tpm import TpmSpec

BASE = bases.BASES["v7.3"]
PROGRAMS = ("a_test", "b_test")
PASSED = "TAP version 13\n1..1\nok 1 f.works\n"


class Run(support.TemporaryDirectory):
    """A guest that leaves what the test says below /out."""

    def setUp(self) -> None:
        super().setUp()
        self.specs: list[GuestSpec] = []
        self.left: dict[str, str] = {}
        self.enterContext(mock.patch.object(given, "image", return_value=None))
        self.enterContext(mock.patch.object(selftests, "run_guest", side_effect=self.guest))

    def guest(self, spec: GuestSpec) -> GuestResult:
        self.specs.append(spec)
        for name, text in self.left.items():
            file = self.tmp / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return GuestResult(Outcome.EXITED, 0, [], b"", b"", self.tmp, self.tmp, 1.0)

    def leave(self, number: int, program: str, output: str = PASSED, status: int = 0) -> None:
        self.left[f"{number}/{program}.ktap"] = output
        self.left[f"{number}/{program}.status"] = f"{status}\n"

    def run_setting(self, setting: Setting) -> list[tuple[str, Status]]:
        suite = selftests.run(BASE, PROGRAMS, setting, None, Path("/bzImage"))
        return [(case.name, case.status) for case in suite.cases]

    def script(self) -> str:
        return self.specs[-1].command[-1]

    def test_each_program_is_a_part_of_the_suite(self) -> None:
        self.leave(1, "a_test")
        self.leave(1, "b_test", "TAP version 13\n1..1\nnot ok 1 f.works\n", 1)
        found = self.run_setting(Setting("x", "patched", TpmSpec()))
        self.assertEqual(found, [("a_test.f.works", Status.PASS), ("b_test.f.works", Status.FAIL)])
        self.assertEqual(self.specs[0].kernel, Path("/bzImage"))

    def test_a_round_that_did_not_end_fails(self) -> None:
        for number in (1, 2):
            self.leave(number, "a_test")
        found = self.run_setting(Setting("x", "patched", TpmSpec(), "a", rounds=3))
        self.assertEqual(found[:2], [(f"round {n}: a_test.f.works", Status.PASS) for n in (1, 2)])
        self.assertIn(("round 3: a_test", Status.FAIL), found)
        self.assertEqual(self.script().count("./a_test "), 3)
        self.assertNotIn("b_test", self.script())

    def test_named_tests_alone(self) -> None:
        self.leave(1, "b_test")
        self.run_setting(Setting("x", "patched", TpmSpec(), tests=("b_test.f.works",)))
        self.assertIn("./b_test -r f.works ", self.script())
        self.assertNotIn("a_test", self.script())

    def test_leaks_fail(self) -> None:
        self.leave(1, "a_test")
        debug = Setting("x", "debug", TpmSpec(), "a")
        self.assertTrue(debug.finds_leaks)
        for text, status in (("", Status.PASS), ("unreferenced object 0xffff", Status.FAIL)):
            self.left["kmemleak"] = text
            self.assertIn((selftests.LEAKS, status), self.run_setting(debug))
        (self.tmp / "kmemleak").unlink()
        del self.left["kmemleak"]
        self.assertIn(("kmemleak", Status.FAIL), self.run_setting(debug))
        self.assertIn("echo scan", self.script())
        (found,) = (s for s in selftests.SETTINGS if s.finds_leaks and not s.on_demand)
        self.assertEqual((found.flavour, found.append), ("patched", ("kmemleak=on",)))


class Settings(unittest.TestCase):
    def test_each_has_a_known_flavour_and_a_name_of_its_own(self) -> None:
        self.assertEqual(len({s.name for s in selftests.SETTINGS}), len(selftests.SETTINGS))
        for setting in selftests.SETTINGS:
            kernel.find_flavour(setting.flavour)

    def test_stress_repeats_the_setting_with_noise(self) -> None:
        with mock.patch.object(selftests, "_run_settings", return_value=[Suite("x")]) as run:
            selftests.stress(BASE, None, 7)
        (setting,) = run.call_args.args[1]
        self.assertEqual((setting.rounds, setting.noise, setting.only), (7, True, ".*"))

    def test_the_debug_kernels_run_on_demand(self) -> None:
        with mock.patch.object(selftests, "_run_settings", return_value=[Suite("x")]) as run:
            selftests.debug(BASE)
            self.assertEqual({setting.flavour for setting in run.call_args.args[1]}, {"debug", "kcsan"})
            selftests.run_all(BASE)
            self.assertFalse([setting for setting in run.call_args.args[1] if setting.on_demand])
        self.assertIn("debug", check.ON_DEMAND)

    def test_the_number_of_rounds_or_seconds_must_be_one(self) -> None:
        for name, suite_name in (("ROUNDS", "stress"), ("TIME", "storm")):
            for number in ("0", "many", "-1"):
                no_reason = mock.patch.object(source, "reason_without", return_value=None)
                no_programs = mock.patch.object(userspace, "present", return_value=False)
                with mock.patch.dict(os.environ, {name: number}), no_reason, no_programs:
                    (suite,) = check.run_one(suite_name, BASE, None)
                self.assertEqual([c.status for c in suite.cases], [Status.FAIL])
                self.assertIn(f"{name}={number}", suite.cases[0].detail)


if __name__ == "__main__":
    unittest.main()
