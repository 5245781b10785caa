# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed package under systemd: enabling one service is enough."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import unittest
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from e2e import earlier_boot, guests
from e2e.guests import Out
from e2e.test_faults import BANKS, Scenario
from e2e.test_view import in_bank
from imaharness import chroot, disk, imalog, package, process
from imaharness.tpm import TpmSpec

SERVICES = ("ima-snapshotd", "ima-snapshot-view")
DISK_SIZE = "1G"
# No logins, so that nothing waits for the devices of terminals.
_NO_CONSOLES = ("systemd.getty_auto=no",)
# One CPU, as in test_kexec.py. The guest boots up to four kernels.
_SCENARIOS: dict[str, dict[str, Any]] = {"systemd": {}, "reboot": {"kexec": True, "smp": 1, "timeout": 1500.0}}


@cache
def installed() -> Path:
    """A disk with a minimal Debian in which the package is installed."""
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
    # The one of kexec-tools brings services that load a kernel on their own.
    shutil.copy(guests.built("kexec", "programs/kexec_execute.c", "-static"), system.path("/usr/sbin/kexec"))
    return disk.holding(system.root, into / "disk.img", DISK_SIZE)


@cache
def boots(flavour: str) -> tuple[Out, Out]:
    """The results of two boots of that disk. The first is shut down while the services work, the second executes kernels."""
    guests.need_program()
    guests.need_kernel(flavour, "fuse", "cgroups")
    with tempfile.TemporaryDirectory(prefix="ima-test-") as directory:
        copy = Path(directory) / "disk.img"
        process.output(["cp", "--sparse=always", installed(), copy])
        machine = {"flavour": flavour, "disk": str(copy), "tpm": TpmSpec(banks=BANKS, state=Path(directory) / "tpm")}
        first, second = (
            Out(guests.boot(guests.spec(f"{name}.sh", f"{name}-{flavour}", append=_NO_CONSOLES, **machine, **more)).out)
            for name, more in _SCENARIOS.items()
        )
    return first, second


class _Boot:
    """The tests of both boots. Below, a class for each inherits them."""

    class Tests(Scenario):
        NUMBER: ClassVar[int]
        FLAVOUR: ClassVar[str] = "patched"

        @classmethod
        def setUpClass(cls) -> None:
            cls.out = boots(cls.FLAVOUR)[cls.NUMBER]

        def unit(self, service: str, when: str) -> dict[str, str]:
            """The properties of SERVICE in 'systemctl show'."""
            lines = (self.out / f"{service}.{when}").read_text().splitlines()
            return dict(line.split("=", 1) for line in lines)

        def journal(self, service: str) -> str:
            text = (self.out / f"{service}.journal").read_text()
            self.assertIn(f"Started {service}.service", text)
            return text

        def whole_log(self) -> list[imalog.Record]:
            # A stock kernel does not have the counters that check_whole_log() needs.
            return self.check_whole_log() if self.FLAVOUR == "patched" else self.check_replay()

        def test_the_services_come_up_with_the_system(self) -> None:
            for service in SERVICES:
                unit = self.unit(service, "booted")
                self.assertEqual((unit["ActiveState"], unit["SubState"], unit["NRestarts"]), ("active", "running", "0"))
                self.assertEqual(unit["StatusErrno"], "0")

        def test_nothing_is_refused_to_them(self) -> None:
            for service in SERVICES:
                self.assertNotRegex(self.journal(service), r"(?i)not permitted|denied|read-only|failed to")

        def test_the_view_was_the_whole_log(self) -> None:
            whole = self.out.ran("cat").stdout
            for name, wanted in (
                ("binary_runtime_measurements", whole),
                ("ascii_runtime_measurements", self.out.ran("cat-ascii").stdout),
                ("binary_runtime_measurements_sha256", in_bank(list(imalog.records(whole)), "sha256")),
            ):
                self.assertEqual((self.out / "view" / name).read_bytes(), wanted, name)


class Systemd(_Boot.Tests):
    """The first boot."""

    NUMBER = 0
    BACKEND: ClassVar[str] = "snapshot"

    def test_stopped_they_have_ended_well_and_nothing_is_mounted(self) -> None:
        for service in SERVICES:
            unit = self.unit(service, "stopped")
            self.assertEqual((unit["ActiveState"], unit["Result"], unit["ExecMainStatus"]), ("inactive", "success", "0"))
        self.assertNotIn("ima-snapshot", (self.out / "mounts").read_text())
        self.assertEqual((self.out / "failed.stopped").read_text(), "")

    def test_the_group_and_no_other_reads_segments_and_view(self) -> None:
        whole = self.out.ran("cat").stdout
        for name in ("view", "segment"):
            with self.subTest(name):
                member, stranger = self.out.ran(f"member-{name}"), self.out.ran(f"stranger-{name}")
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

    def test_one_that_refuses_its_configuration_failed_and_is_left_alone(self) -> None:
        self.assertEqual(self.out.ran("refused").status, 1)
        unit = self.unit("ima-snapshotd", "refused")
        self.assertEqual((unit["ActiveState"], unit["ExecMainStatus"], unit["NRestarts"]), ("failed", "78", "0"))

    def test_they_are_exposed_by_little(self) -> None:
        for service in (*SERVICES, "ima-snapshot-final"):
            ran = self.out.ran(f"exposure.{service}")
            found = re.search(rf"Overall exposure level for {service}\.service: ([\d.]+)", ran.stdout.decode())
            assert found, ran
            self.assertLessEqual(float(found[1]), 3.0, service)

    def test_the_backend_is_the_kernels(self) -> None:
        self.assertEqual(self.out.ran("status").json["backend"], self.BACKEND)

    def test_no_record_is_lost_or_stored_twice(self) -> None:
        workers = {f"killed/{w.name}": int(w.read_text()) for w in (self.out / "workers").iterdir()}
        self.assertEqual(len(workers), 4)
        self.check_files(self.whole_log(), {"first": 300, "hung": 30, **workers})
        self.assertEqual(self.out.leftovers(), [])


class AfterShutdown(earlier_boot.EarlierBoot, _Boot.Tests):
    """The second boot, and what the first one left on the same disk."""

    NUMBER = 1

    def test_shut_down_at_work_they_ended_well(self) -> None:
        for service in SERVICES:
            journal = (self.out / f"{service}.before").read_text()
            ended = journal.rpartition(f"Started {service}.service")[2]
            self.assertIn(f"{service}.service: Deactivated successfully.", ended)
            self.assertIn(f"Stopped {service}.service", ended)
            self.assertNotRegex(ended, r"(?i)killed|timed out|failed")

    def test_every_segment_stored_before_has_its_metadata(self) -> None:
        segments = self.old_segments()
        self.assertGreater(len(segments), 1)
        self.assertEqual([f for f in segments if not f.with_suffix(".json").exists()], [])

    def test_no_record_stored_before_is_lost_or_there_twice(self) -> None:
        self.assertGreater(min(self.check_workers("/load/shutdown")), 0)

    def final_list(self) -> Path:
        """The list that the final snapshot kept: it follows the last segment."""
        last = self.old_segments()[-1]
        return last.with_name(f"{int(last.stem) + 1:08d}.list")

    def test_nothing_is_left_over(self) -> None:
        self.assertEqual(self.out.leftovers(), [self.final_list().name])

    def test_the_final_snapshot_stored_the_end_of_the_log(self) -> None:
        journal = (self.out / "ima-snapshot-final.before").read_text()
        self.assertIn("ima-snapshot-final.service: Deactivated successfully.", journal)
        self.assertNotRegex(journal, r"(?i)not permitted|denied|read-only|failed to")
        last = json.loads(self.old_segments()[-1].with_suffix(".json").read_text())
        rest = list(imalog.records(self.final_list().read_bytes()))
        if self.FLAVOUR == "patched":
            aggregate = imalog.aggregate(rest[0])
            self.assertEqual((aggregate.attempt, aggregate.segment_hash), (last["attempt"], last["sha256"]))
        self.assertEqual(last["state"], "purged")
        # The next boot closes the session, and misses nothing.
        self.assertEqual((self.out / "closing").read_text().splitlines(), ["session_closed"])

    def test_a_kexec_by_systemd_loses_nothing(self) -> None:
        carried = int((self.out / "kexec/runtime_measurements_count").read_text())
        self.assertGreaterEqual(int((self.out / "end/runtime_measurements_count").read_text()), 5000)
        self.assertLess(carried, 100)
        verified = self.out.ran("kexec.verify")
        self.assertEqual(verified.status, 0, verified)
        log = list(imalog.records(self.out.ran("kexec.cat").stdout))
        self.check_files(log, {"after": 100, "carried": 5000})
        replay = imalog.Replay(BANKS)
        for record in log:
            replay.add(record)
        for bank, values in self.out.pcrs("kexec.pcrs").values.items():
            self.assertEqual(replay.banks[bank][guests.MEASURED_PCR], values[guests.MEASURED_PCR], bank)

    def test_after_it_the_session_continues(self) -> None:
        taken = self.out.ran("kexec.take")
        self.assertEqual((taken.status, taken.json["session"]), (0, 2), taken)
        self.assertEqual(taken.json["events"], [])

    def test_with_a_full_store_the_machine_goes_down_and_the_next_kernel_reports_it(self) -> None:
        if self.FLAVOUR != "patched":
            self.skipTest("the scenario has this part for one flavour")
        self.assertLess(self.out.kernel("full").count, self.out.kernel("full.end").count)
        self.assertIn("code=exited, status=1/FAILURE", (self.out / "full.journal").read_text())
        taken = self.out.ran("full.take")
        self.assertEqual(taken.status, 0, taken)
        self.assertIn({"event": "no_final_snapshot", "number": 2}, taken.json["events"])
        verified = self.out.ran("full.verify")
        self.assertEqual(verified.status, 3, verified)
        self.assertEqual(verified.json["mismatch"]["cause"], "aggregate_pcr")

    def test_the_new_session_is_whole(self) -> None:
        self.check_files(self.whole_log(), {"after": 100})
        self.assertGreater(len(list((self.out / "store/boots/00000002").glob("*.ima"))), 0)


class SystemdOnStock(Systemd):
    """The same package and configuration on a kernel that has only staging."""

    FLAVOUR = "stock"
    BACKEND = "staging"


class AfterShutdownOnStock(AfterShutdown):
    FLAVOUR = "stock"


if __name__ == "__main__":
    unittest.main()
