# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine loses power while snapshots run: what the next boot finds, and what it does with that."""

from __future__ import annotations

import tempfile
from pathlib import Path

from e2e import earlier_boot, guests
from e2e.guests import MEASURED_PCR, Out
from imaharness import imalog
from imaharness.guest import GuestSpec, Outcome, run_guest
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")


class _Power:
    """The tests of one flavour and one moment. Below, a class for each inherits them."""

    class Tests(earlier_boot.EarlierBoot):
        flavour = "patched"
        point: str

        @classmethod
        def setUpClass(cls) -> None:
            guests.need_program()
            scratch = tempfile.TemporaryDirectory(prefix="ima-power-")
            cls.addClassCleanup(scratch.cleanup)
            directory = Path(scratch.name)

            def spec(part: str, kill_on: str | None = None) -> GuestSpec:
                return guests.spec(
                    "power.sh",
                    f"power-{part}",
                    flavour=cls.flavour,
                    tpm=TpmSpec(banks=BANKS, state=directory / "tpm"),
                    disk=f"{directory / 'disk.img'}:64M",
                    env={"PART": part, "POINT": cls.point},
                    kill_on=kill_on,
                )

            first = run_guest(spec("first", "pull the plug"))
            if first.outcome is not Outcome.KILLED:
                raise AssertionError(first.explain())
            cls.out = Out(guests.boot(spec("second")).out)

        def test_segments_were_stored_before_the_power_went(self) -> None:
            self.assertGreaterEqual(len(self.old_segments()), 1)

        def test_each_old_segment_goes_on_from_the_one_before(self) -> None:
            if self.flavour == "patched":
                self.check_aggregates()
            self.check_workers("/load")

        def test_the_new_boot_takes_snapshots_and_is_whole(self) -> None:
            taken = self.out.ran("take")
            self.assertEqual(taken.status, 0, taken)
            self.assertEqual((taken.json["session"], taken.json["segment"]["segment"]), (2, 1))
            verified = self.out.ran("verify")
            self.assertEqual(verified.status, 0, verified)
            log = list(imalog.records(self.out.ran("cat").stdout))
            replay = imalog.Replay(BANKS)
            for record in log:
                replay.add(record)
            for bank, values in self.out.pcrs().values.items():
                self.assertEqual(replay.banks[bank][MEASURED_PCR].hex(), values[MEASURED_PCR].hex(), bank)
            files = [r.event for r in log if r.event.startswith("/load/")]
            wanted = [("second", 50), ("third", 20)]
            self.assertEqual(files, [f"/load/{d}/{n}" for d, last in wanted for n in range(1, last + 1)])


class RightAfterARename(_Power.Tests):
    point = "renamed"


class SomewhereUnderLoad(_Power.Tests):
    point = "1700000"


class SomewhereUnderLoadByStaging(_Power.Tests):
    flavour = "stock"
    point = "1300000"
