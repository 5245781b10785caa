# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/deps: what it lists without apt and what it installs with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import unittest
from pathlib import Path

import support
from imaharness import paths

_DEPS = paths.ROOT / "scripts" / "deps"
_TABLE = paths.ROOT / "scripts" / "packages"


def _rows() -> list[list[str]]:
    return [line.split() for line in _TABLE.read_text().splitlines() if line and not line.startswith("#")]


@unittest.skipIf(Path("/usr/sbin").resolve() == Path("/usr/bin").resolve(), "programs cannot be hidden: /usr/sbin is /usr/bin")
class Deps(support.TemporaryDirectory):
    """Runs it with bash and the programs that a test adds, and no others."""

    def setUp(self) -> None:
        super().setUp()
        self.bin = self.tmp / "bin"
        self.bin.mkdir()
        for name in ("bash", "env"):
            (self.bin / name).symlink_to(shutil.which(name) or name)

    def fake(self, name: str, script: str) -> None:
        program = self.bin / name
        program.write_text(f"#!{self.bin}/bash\n{script}\n")
        program.chmod(0o755)

    def run_deps(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([_DEPS, *arguments], env={"PATH": str(self.bin)}, capture_output=True, text=True, check=False)

    def fake_apt(self) -> Path:
        asked = self.tmp / "asked"
        self.fake("apt-get", f'echo "$@" >>{asked}')
        self.fake("sudo", '"$@"')
        return asked

    def test_without_apt_it_lists_what_is_missing_and_fails(self) -> None:
        done = self.run_deps()
        self.assertEqual(done.returncode, 1)
        missing = {" ".join(line.split()[:2]) for line in done.stderr.splitlines() if line.startswith("  ")}
        self.assertLessEqual({"swtpm (program)", "fuse3 (pkg-config)", "sys/capability.h (header)"}, missing)
        self.assertIn("tpm2-tss-devel", done.stderr)

    def test_with_apt_the_demo_gets_no_checkers(self) -> None:
        asked = self.fake_apt()
        self.assertEqual(self.run_deps("demo").returncode, 1)  # the apt here installs nothing
        installed = asked.read_text().split()
        self.assertLessEqual({"install", "swtpm", "libfuse3-dev"}, set(installed))
        for package in ("clang", "clang-tidy", "lintian", "debhelper", "mandoc", "sparse", "libgtest-dev"):
            self.assertNotIn(package, installed)

    def test_with_apt_the_check_gets_all(self) -> None:
        asked = self.fake_apt()
        self.assertEqual(self.run_deps().returncode, 1)
        self.assertLessEqual({"clang", "lintian", "libgmock-dev", "swtpm"}, set(asked.read_text().split()))

    @unittest.skipIf(os.geteuid() == 0, "root needs no sudo")
    def test_an_ordinary_user_without_sudo_gets_the_list(self) -> None:
        self.fake("apt-get", "exit 0")
        done = self.run_deps("demo")
        self.assertEqual(done.returncode, 1)
        self.assertIn("swtpm (program)", done.stderr)

    def test_an_unknown_group_is_a_usage_error(self) -> None:
        self.assertEqual(self.run_deps("everything").returncode, 2)


class Table(unittest.TestCase):
    def test_each_need_has_a_group_and_a_package_or_a_dash_for_each_distribution(self) -> None:
        for row in _rows():
            self.assertEqual(len(row), 5, row)
            self.assertIn(row[0], ("demo", "check", "arm64", "s390x"))
        self.assertEqual(len({(row[0], row[1]) for row in _rows()}), len(_rows()))
