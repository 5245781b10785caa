# SPDX-License-Identifier: GPL-2.0-or-later
"""A week of a machine in an hour. Not a part of the end-to-end suite.

Environment: WEEK_TIME in seconds.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from e2e import guests, test_systemd
from e2e.guests import Out
from e2e.test_faults import BANKS, Scenario
from imaharness import image, package, process
from imaharness.tpm import TpmSpec

# Kernels of each boot. Between the boots the machine is off.
PARTS = (2, 3, 2, 2)
SECONDS = int(os.environ.get("WEEK_TIME") or 3600) // sum(PARTS)
A_SECOND = 50
SNAPSHOTS = 30
UPGRADED = (2, 2)  # boot and part
# The shell needs longer than the pause between the files.
LIMIT = max(A_SECOND * SECONDS * sum(PARTS) // (2 * SNAPSHOTS), 20)
FEW_OBJECTS = 3000


class Week(Scenario):
    def run_boot(self, boot: int, directory: Path, upgrade: Path) -> Out:
        guest = guests.spec(
            "week.sh",
            f"week-{boot}",
            "fuse",
            "cgroups",
            append=("systemd.getty_auto=no",),
            disk=str(directory / "disk.img"),
            tpm=TpmSpec(banks=BANKS, state=directory / "tpm"),
            kexec=True,
            smp=1,
            copies=(image.Copy(upgrade, "/upgrade.deb"),),
            env={
                "BOOT": str(boot),
                "PARTS": str(PARTS[boot - 1]),
                "DURATION": str(SECONDS),
                "LIMIT": str(LIMIT),
                "UPGRADE": str(UPGRADED[1] if boot == UPGRADED[0] else 0),
            },
            timeout=900.0 + 3 * SECONDS * PARTS[boot - 1],
        )
        return Out(guests.boot(guest).out)

    def test_both_verifiers_always_agree_with_the_tpm(self) -> None:
        guests.need_program()
        guests.need_kernel("patched", "fuse", "cgroups")
        scratch = tempfile.TemporaryDirectory(prefix="ima-week-")
        self.addCleanup(scratch.cleanup)
        directory = Path(scratch.name)
        process.output(["cp", "--sparse=always", test_systemd.installed(), directory / "disk.img"])
        upgrade = package.repack(package.built(), f"{package.version()}+week", {}, directory)
        purges = records = 0
        for boot, parts in enumerate(PARTS, 1):
            type(self).out = self.run_boot(boot, directory, upgrade)
            for part in range(1, parts + 1):
                self.check_part(boot, part)
                purges += int((self.out / f"purges.{part}").read_text())
            measured = {f"{boot}.{part}": int((self.out / f"measured.{part}").read_text()) for part in range(1, parts + 1)}
            self.check_files(self.check_whole_log(), measured)
            records += self.out.kernel().total
        self.assertGreaterEqual(purges, SNAPSHOTS)
        print(f"a week: {records} records, {purges} purges, {sum(PARTS) - len(PARTS)} kexecs, {len(PARTS)} cold boots", flush=True)

    def check_part(self, boot: int, part: int) -> None:
        for when in ("middle", "end"):
            for verifier in ("verify", "verify-state"):
                ran = self.out.ran(f"{verifier}.{part}.{when}")
                self.assertEqual(ran.status, 0, f"boot {boot}: {verifier}.{part}.{when}: {ran}")
        if (boot, part) == UPGRADED:
            self.assertEqual(self.out.ran("upgrade").status, 0, self.out.ran("upgrade"))
            self.assertIn("+week", self.out.ran("version").stdout.decode())
        before, after = (
            sum(map(int, (self.out / f"{name}.{part}").read_text().split())) for name in ("objects", "objects-after")
        )
        self.assertLess(after - before, FEW_OBJECTS, f"boot {boot}, part {part}")
