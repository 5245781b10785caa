# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed package under systemd: one service enabled, and nothing else to think of."""

from __future__ import annotations

import re
import shutil
import tempfile
import unittest
from functools import cache
from pathlib import Path
from typing import ClassVar

from e2e.test_faults import Scenario
from e2e.test_view import in_bank
from imaharness import chroot, disk, imalog, package, process

SERVICES = ("ima-snapshotd", "ima-snapshot-view")
DISK_SIZE = "1G"


@cache
def installed() -> Path:
    """A disk with a bare Debian in which the package is installed."""
    if reason := chroot.missing():
        raise unittest.SkipTest(reason)
    if shutil.which("dpkg-buildpackage") is None:
        raise unittest.SkipTest("dpkg-buildpackage is not installed")
    directory = tempfile.TemporaryDirectory(prefix="ima-test-")
    unittest.addModuleCleanup(directory.cleanup)
    into = Path(directory.name)
    deb = package.built()
    system = chroot.Chroot(into / "root", chroot.tarball(package.dependencies(deb)))
    system.install(deb)
    return disk.holding(system.root, into / "disk.img", DISK_SIZE)


class Systemd(Scenario):
    """On a kernel with the series."""

    FLAVOUR: ClassVar[str] = "patched"
    BACKEND: ClassVar[str] = "snapshot"

    @classmethod
    def setUpClass(cls) -> None:
        with tempfile.TemporaryDirectory(prefix="ima-test-") as directory:
            copy = Path(directory) / "disk.img"
            process.output(["cp", "--sparse=always", installed(), copy])
            cls.start("systemd.sh", f"systemd-{cls.FLAVOUR}", disk=str(copy), flavour=cls.FLAVOUR)

    def unit(self, service: str, when: str) -> dict[str, str]:
        """What 'systemctl show' said of SERVICE."""
        lines = (self.out / f"{service}.{when}").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, service: str) -> str:
        text = (self.out / f"{service}.journal").read_text()
        self.assertIn(f"Started {service}.service", text)
        return text

    def test_the_services_come_up_with_the_system(self) -> None:
        for service in SERVICES:
            unit = self.unit(service, "booted")
            self.assertEqual((unit["ActiveState"], unit["SubState"], unit["NRestarts"]), ("active", "running", "0"))
            self.assertEqual(unit["StatusErrno"], "0")

    def test_nothing_is_refused_to_them(self) -> None:
        for service in SERVICES:
            self.assertNotRegex(self.journal(service), r"(?i)not permitted|denied|read-only|failed to")

    def test_the_group_and_no_other_reads_segments_and_view(self) -> None:
        whole = self.out.told("cat").stdout
        for name in ("view", "segment"):
            with self.subTest(name):
                member, stranger = self.out.told(f"member-{name}"), self.out.told(f"stranger-{name}")
                self.assertEqual(member.status, 0, member)
                self.assertTrue(whole.startswith(member.stdout))
                self.assertGreater(len(list(imalog.records(member.stdout))), 200)
                self.assertEqual((stranger.status, stranger.stdout), (1, b""))
                self.assertIn("Permission denied", stranger.stderr)

    def test_they_are_restarted_after_they_were_killed(self) -> None:
        self.assertEqual(self.unit("ima-snapshot-view", "stopped")["NRestarts"], "2")
        killed = "Main process exited, code=killed, status=9/KILL"
        self.assertEqual(self.journal("ima-snapshot-view").count(killed), 2)
        self.assertGreaterEqual(self.journal("ima-snapshotd").count(killed), 2)

    def test_one_that_hangs_is_killed_by_the_watchdog(self) -> None:
        self.assertEqual(self.journal("ima-snapshotd").count("Watchdog timeout"), 1)

    def test_stopped_they_have_ended_well_and_nothing_is_mounted(self) -> None:
        for service in SERVICES:
            unit = self.unit(service, "stopped")
            self.assertEqual((unit["ActiveState"], unit["Result"], unit["ExecMainStatus"]), ("inactive", "success", "0"))
        self.assertNotIn("ima-snapshot", (self.out / "mounts").read_text())
        self.assertEqual((self.out / "failed.stopped").read_text(), "")

    def test_the_daemon_is_exposed_by_little(self) -> None:
        told = self.out.told("exposure")
        found = re.search(r"Overall exposure level for ima-snapshotd\.service: ([\d.]+)", told.stdout.decode())
        assert found, told
        self.assertLessEqual(float(found[1]), 3.0)

    def test_the_view_was_the_whole_log(self) -> None:
        whole = self.out.told("cat").stdout
        for name, wanted in (
            ("binary_runtime_measurements", whole),
            ("ascii_runtime_measurements", self.out.told("cat-ascii").stdout),
            ("binary_runtime_measurements_sha256", in_bank(list(imalog.records(whole)), "sha256")),
        ):
            self.assertEqual((self.out / "view" / name).read_bytes(), wanted, name)

    def test_the_backend_is_the_kernels(self) -> None:
        self.assertEqual(self.out.told("status").json["backend"], self.BACKEND)

    def test_no_record_is_lost_or_stored_twice(self) -> None:
        workers = {f"killed/{w.name}": int(w.read_text()) for w in (self.out / "workers").iterdir()}
        self.assertEqual(len(workers), 4)
        self.check_files(self.check_whole_log(), {"first": 300, "hung": 30, **workers})
        self.assertEqual(self.leftovers(), [])


class SystemdOnStock(Systemd):
    """On a kernel that has staging alone: the same package, the same configuration."""

    FLAVOUR = "stock"
    BACKEND = "staging"

    def check_whole_log(self) -> list[imalog.Record]:
        return self.check_replay()  # it has no such counters


if __name__ == "__main__":
    unittest.main()
