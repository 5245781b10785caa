# SPDX-License-Identifier: GPL-2.0-or-later
"""userspace/cmake/check_rooms.cmake: which includes fail the build."""

from __future__ import annotations

import shutil
import subprocess
import unittest
from pathlib import Path

import support
from imaharness import userspace

_CHECKED = ("cmake", "src", "view", "cli", "daemon")


@unittest.skipUnless(shutil.which("cmake"), "cmake is not installed")
class Rooms(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        for name in _CHECKED:
            shutil.copytree(userspace.SOURCE / name, self.tmp / name)

    def check(self) -> subprocess.CompletedProcess[str]:
        script = self.tmp / "cmake" / "check_rooms.cmake"
        return subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=False)

    def complaint(self, name: str, include: str) -> str:
        """The check's message, in one line, if the file NAME also includes INCLUDE."""
        file = Path(self.tmp / name)
        before = file.read_text()
        file.write_text(f'{before}#include "{include}"\n')
        done = self.check()
        file.write_text(before)
        self.assertNotEqual(done.returncode, 0, f"{name} may include {include}")
        return " ".join(done.stderr.split())

    def test_the_tree_is_in_order(self) -> None:
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_wrong_include_is_named(self) -> None:
        for name, include in (
            ("src/base/bytes.h", "log/replay.h"),
            ("src/kernel/kernel_lists.cc", "store/boot_log.h"),
            ("src/verify/verify.cc", "view/view_server.h"),
            ("src/verify/verify.cc", "program/mistakes.h"),
            ("view/whole_log.cc", "cli/app.h"),
            ("view/whole_log.h", "daemon/service.h"),
            ("cli/app.cc", "daemon/journal.h"),
            ("daemon/app.cc", "cli/app.h"),
            ("daemon/app.h", "tests/world.h"),
            ("src/store/store.cc", "boot_log.h"),
        ):
            with self.subTest(name, include=include):
                self.assertIn(f'{name} includes "{include}"', self.complaint(name, include))

    def test_an_include_of_an_earlier_room_is_not(self) -> None:
        for name, include in (
            ("src/log/replay.h", "base/machine.h"),
            ("src/verify/boundary.cc", "snapshot/staging.h"),
            ("view/view_files.cc", "verify/verify.h"),
            ("cli/app.cc", "view/view_server.h"),
        ):
            file = self.tmp / name
            file.write_text(f'{file.read_text()}#include "{include}"\n')
        self.assertEqual(self.check().returncode, 0)

    def test_a_room_without_files_is_named(self) -> None:
        shutil.rmtree(self.tmp / "src" / "tpm")
        done = self.check()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("tpm", done.stderr)
