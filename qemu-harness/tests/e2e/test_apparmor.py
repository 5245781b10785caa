# SPDX-License-Identifier: GPL-2.0-or-later
"""An AppArmor policy lets one program take snapshots, and no other that has a profile."""

from __future__ import annotations

from pathlib import Path

from e2e import guests, test_faults
from imaharness import image, paths

_PROFILES = Path("/etc/apparmor.d")


class AppArmor(test_faults.Scenario):
    @classmethod
    def setUpClass(cls) -> None:
        guests.need_tool("apparmor_parser")
        copies = [image.Copy(_PROFILES / name, f"{_PROFILES}/{name}") for name in ("abi", "abstractions", "tunables")]
        copies.append(image.Copy(Path("/sbin/apparmor_parser").resolve(), f"{image.GUEST_BIN}/apparmor_parser"))
        copies.append(image.Copy(paths.ROOT / "userspace/policy/apparmor", "/policy/apparmor"))
        cls.start("apparmor.sh", "apparmor", "64M", "apparmor", append=["lsm=apparmor"], copies=copies)

    def test_both_profiles_are_in_force(self) -> None:
        profiles = (self.out / "profiles").read_text().splitlines()
        self.assertEqual(sorted(profiles), ["another (enforce)", "ima-snapshot (enforce)"])

    def test_the_program_takes_and_verifies(self) -> None:
        for name in ("take", "verify"):
            self.assertEqual(self.out.ran(name).status, 0, self.out.ran(name))
        self.check_files(self.check_whole_log(), {"first": 20})

    def test_the_program_cannot_read_what_it_does_not_need(self) -> None:
        ran = self.out.ran("outside")
        self.assertEqual((ran.status, ran.error["errno"]), (4, 13), ran)

    def test_another_program_is_refused_and_nothing_is_recorded(self) -> None:
        self.assertNotEqual(self.out.ran("another").status, 0)
        self.assertIn("Permission denied", self.out.ran("another").stderr)
        self.assertEqual(self.out.kernel("before"), self.out.kernel("after"))
