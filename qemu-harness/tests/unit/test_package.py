# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of the package, and the same package as another version."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import support
from imaharness import lint, package, process
from imaharness.errors import HarnessError


class Version(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        (self.tmp / "debian").mkdir()
        patch = mock.patch.object(package, "_SOURCE", self.tmp)
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, cmake: str, changelog: str) -> None:
        (self.tmp / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\n{cmake}\n")
        (self.tmp / "debian" / "changelog").write_text(changelog)

    def test_is_what_cmake_and_the_changelog_both_say(self) -> None:
        self.write("project(ima-snapshot VERSION 1.2.3 LANGUAGES CXX)", "ima-snapshot (1.2.3) unstable; urgency=low\n")
        self.assertEqual(package.version(), "1.2.3")

    def test_a_changelog_without_it_is_refused(self) -> None:
        for changelog in ("ima-snapshot (1.2.2) unstable; urgency=low\n", ""):
            self.write("project(ima-snapshot VERSION 1.2.3 LANGUAGES CXX)", changelog)
            with self.assertRaisesRegex(HarnessError, r"debian/changelog: begins with .* says 1\.2\.3: add an entry"):
                package.version()

    def test_a_project_without_one_is_refused(self) -> None:
        self.write("project(ima-snapshot)", "")
        with self.assertRaisesRegex(HarnessError, "gives no version"):
            package.version()


class Built(support.TemporaryDirectory):
    def test_is_built_again_only_after_a_change(self) -> None:
        source, made = self.tmp / "source", self.tmp / "deb"
        source.mkdir()
        made.mkdir()
        file = source / "file"
        file.write_text("one\n")
        deb = made / "ima-snapshot_1_amd64.deb"

        def build() -> Path:
            deb.write_bytes(b"")
            return deb

        with (
            mock.patch.multiple(package, _SOURCE=source, DEB_BUILD=made, version=lambda: "1", architecture=lambda: "amd64"),
            mock.patch.object(lint, "tracked_files", lambda: [file]),
            mock.patch.object(package, "build", side_effect=build) as builds,
        ):
            changes: list[tuple[Callable[[], object], int]] = [
                (lambda: None, 1),
                (lambda: None, 1),
                (lambda: file.write_text("two\n"), 2),
                (lambda: file.chmod(0o755), 3),
                (deb.unlink, 4),
            ]
            for change, wanted in changes:
                change()
                self.assertEqual(package.built(), deb)
                self.assertEqual(builds.call_count, wanted)


class Repacking(support.TemporaryDirectory):
    def test_changes_version_and_files_and_nothing_else(self) -> None:
        if shutil.which("dpkg-deb") is None:
            self.skipTest("dpkg-deb is not installed")
        tree = self.tmp / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "etc").mkdir()
        (tree / "etc" / "a").write_text("old\n")
        (tree / "etc" / "b").write_text("same\n")
        control = "Package: ima-snapshot\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\nDescription: d\n"
        (tree / "DEBIAN" / "control").write_text(control)
        deb = self.tmp / "one.deb"
        process.output(["dpkg-deb", "--root-owner-group", "--build", tree, deb])
        made = package.repack(deb, "0.5", {"etc/a": "new\n"}, self.tmp)
        process.output(["dpkg-deb", "--raw-extract", made, self.tmp / "out"])
        out = self.tmp / "out"
        self.assertEqual((out / "DEBIAN" / "control").read_text(), control.replace("Version: 1", "Version: 0.5"))
        self.assertEqual((out / "etc" / "a").read_text(), "new\n")
        self.assertEqual((out / "etc" / "b").read_text(), "same\n")
