# SPDX-License-Identifier: GPL-2.0-or-later
"""'make install' puts everything below DESTDIR and overwrites no file of an administrator."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import support
from imaharness import paths

from . import programs

_PROGRAMS = {"bin/ima-snapshot", "sbin/ima-snapshotd"}
_BELOW_PREFIX = _PROGRAMS | {
    "lib/systemd/system/ima-snapshot-final.service",
    "lib/systemd/system/ima-snapshot-view.service",
    "lib/systemd/system/ima-snapshotd.service",
    "lib/sysusers.d/ima-snapshot.conf",
    "lib/tmpfiles.d/ima-snapshot.conf",
    "share/bash-completion/completions/ima-snapshot",
    "share/bash-completion/completions/ima-snapshotd",
    "share/man/man1/ima-snapshot-mount.1",
    "share/man/man1/ima-snapshot-evidence.1",
    "share/man/man1/ima-snapshot-quote.1",
    "share/man/man1/ima-snapshot-verify.1",
    "share/man/man1/ima-snapshot.1",
    "share/man/man5/ima-snapshot-store.5",
    "share/man/man5/ima-snapshot.conf.5",
    "share/man/man7/ima-snapshot-verifiers.7",
    "share/man/man8/ima-snapshotd.8",
}
_CONFIG = "etc/ima-snapshot.conf"


class MakeInstall(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        programs.find("ima-snapshot")
        self.addCleanup(self.install, "/usr/local", self.tmp / "last")  # as the tree was configured

    def install(self, prefix: str, into: Path) -> None:
        # The programs are built already. '-o userspace' keeps make from configuring them again.
        argv: list[str | Path] = ["make", "-C", paths.ROOT, "-o", "userspace", "install", f"PREFIX={prefix}", f"DESTDIR={into}"]
        env = os.environ | {"IMA_BUILD_DIR": str(paths.BUILD)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_all_files_and_no_others(self) -> None:
        for prefix in ("/usr/local", "/usr"):
            with self.subTest(prefix):
                into = self.tmp / prefix.replace("/", "-")
                self.install(prefix, into)
                found = {str(f.relative_to(into)) for f in into.rglob("*") if f.is_file()}
                self.assertEqual(found, {f"{prefix[1:]}/{name}" for name in _BELOW_PREFIX} | {_CONFIG})
                for name in found:
                    mode = (into / name).stat().st_mode & 0o777
                    program = name.removeprefix(f"{prefix[1:]}/") in _PROGRAMS
                    self.assertEqual(mode, 0o755 if program else 0o644, name)
                for unit in into.rglob("*.service"):
                    (program_path,) = re.findall(r"^ExecSt(?:art|op)=(\S+)", unit.read_text(), re.M)
                    self.assertTrue((into / program_path[1:]).is_file(), f"{unit.name} starts {program_path}")

    def test_a_kernel_that_saves_a_crash_dump_takes_no_final_snapshot(self) -> None:
        self.install("/usr", self.tmp)
        unit = (self.tmp / "usr/lib/systemd/system/ima-snapshot-final.service").read_text()
        self.assertIn("ConditionPathExists=!/proc/vmcore", unit.splitlines())

    def test_a_configuration_that_is_there_stays(self) -> None:
        (self.tmp / "etc").mkdir()
        (self.tmp / _CONFIG).write_text("keep_boots = 7\n")
        self.install("/usr/local", self.tmp)
        self.assertEqual((self.tmp / _CONFIG).read_text(), "keep_boots = 7\n")
