# SPDX-License-Identifier: GPL-2.0-or-later
"""The long forms of what a disk or a power cut can do. Not a part of the end-to-end suite.

Environment: CYCLES (power cuts for each file system), KILLS.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import ClassVar

from e2e import earlier_boot, guests, test_faults
from e2e.guests import Out
from imaharness import disk, image
from imaharness.guest import GuestSpec, Outcome, run_guest
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
CYCLES = int(os.environ.get("CYCLES") or 100)
FLAKEY = 8
LONGEST_US = 3_000_000


class KilledOften(test_faults.Killed):
    kills = int(os.environ.get("KILLS") or 500)
    disk = "1G"


class _Power:
    """Below, a class for each file system inherits the tests."""

    class Tests(earlier_boot.OldSegments):
        file_system: ClassVar[str]
        out: Out

        def old_segments(self) -> list[Path]:
            return sorted((self.out / "found").glob("*.ima"))

        def spec(self, directory: Path, work: str, point: int = 0) -> GuestSpec:
            return guests.spec(
                "powers.sh",
                f"powers-{self.file_system}",
                flavour="storage",
                tpm=TpmSpec(banks=BANKS, state=directory / "tpm"),
                disk=f"{directory / 'disk.img'}:512M",
                file_system=self.file_system,
                copies=(guests.setpriv(),),
                env={"WORK": work, "POINT": str(point)},
                kill_on=None if work == "none" else "pull the plug",
            )

        def check_found(self) -> int:
            """Check what the boot before this one has left; return how many records."""
            self.check_metadata()
            self.check_aggregates()
            return sum(self.check_workers("/load"))

        def test_no_power_cut_harms_the_store(self) -> None:
            if (reason := disk.reason_against(self.file_system)) is not None:
                self.skipTest(reason)
            guests.need_program("ima-snapshotd")
            scratch = tempfile.TemporaryDirectory(prefix="ima-powers-")
            self.addCleanup(scratch.cleanup)
            stored = 0
            for cycle in range(CYCLES):
                work = ("take", "daemon")[cycle % 2]
                point = random.randrange(LONGEST_US)
                result = run_guest(self.spec(Path(scratch.name), work, point))
                with self.subTest(cycle=cycle, work=work, point=point):
                    self.assertEqual(result.outcome, Outcome.KILLED, result.explain())
                    self.out = Out(result.out)
                    if cycle > 0:
                        stored += self.check_found()
            self.out = Out(guests.boot(self.spec(Path(scratch.name), "none")).out)
            stored += self.check_found()
            self.assertGreater(stored, 0)
            for name in ("take", "verify"):
                self.assertEqual(self.out.ran(name).status, 0, self.out.ran(name))
            self.assertEqual(self.out.leftovers(), [])
            print(f"{CYCLES} power cuts on {self.file_system}: {stored} files of stored records, each once", flush=True)


class PowerOnExt4(_Power.Tests):
    file_system = "ext4"


class PowerOnXfs(_Power.Tests):
    file_system = "xfs"


class PowerOnBtrfs(_Power.Tests):
    file_system = "btrfs"


class FailingDisk(test_faults.Scenario):
    @classmethod
    def setUpClass(cls) -> None:
        guests.need_tool("dmsetup")
        dmsetup = image.Copy(Path("/sbin/dmsetup"), f"{image.GUEST_BIN}/dmsetup")
        cls.start("disks.sh", "disks", disk="64M", flavour="storage", copies=(dmsetup,), env={"FLAKEY": str(FLAKEY)})

    def test_nothing_is_purged_that_is_not_stored(self) -> None:
        for name in ("error", "removed"):
            self.assertEqual(self.out.ran(name).status, 1, self.out.ran(name))
            self.assertEqual(self.out.kernel(f"{name}.before").purges, self.out.kernel(f"{name}.after").purges)

    def test_the_next_snapshot_succeeds(self) -> None:
        names = ["error", *(f"flakey{n}" for n in range(1, FLAKEY + 1))]
        for name in [*(f"{n}-verify" for n in names), *(f"{n}-again" for n in names), "removed-again"]:
            self.assertEqual(self.out.ran(name).status, 0, f"{name}: {self.out.ran(name)}")

    def test_measuring_does_not_wait_for_a_slow_disk(self) -> None:
        self.assertEqual(self.out.ran("slow").status, 0, self.out.ran("slow"))
        self.assertGreater(int((self.out / "measured").read_text()), 5)

    def test_no_record_is_lost_or_stored_twice(self) -> None:
        measured = {name: 100 for name in ("first", "error", "slow", "removed")}
        measured.update({f"flakey{n}": 100 for n in range(1, FLAKEY + 1)})
        measured["meanwhile"] = int((self.out / "measured").read_text())
        self.check_files(self.check_whole_log(), measured)
        self.assertEqual(self.out.leftovers(), [])
