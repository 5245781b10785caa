# SPDX-License-Identifier: GPL-2.0-or-later
"""A snapshot with a TPM that does not do what others do."""

from __future__ import annotations

import unittest
from pathlib import Path

from e2e import guests
from e2e.guests import MEASURED_PCR, Out
from imaharness import imalog, paths, process
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
_SHIM = Path(__file__).resolve().parent / "shim" / "tpm_faults.c"


def boot(faults: str, version: str) -> Out:
    """What tpm.sh leaves of a TPM with these FAULTS."""
    guests.need_tool("gcc")
    library = paths.BUILD / "e2e" / "tpm_faults.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    process.output(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, _SHIM, "-ldl"])
    banks = BANKS if version == "2.0" else ("sha1",)
    tpm = TpmSpec(version=version, banks=banks, preload=library, env={"IMA_FAULTS": faults})
    return Out(guests.boot(guests.spec("tpm.sh", f"tpm-{faults.replace(',', '-')}", tpm=tpm, env={"FAULTS": faults})).out)


class SixteenPcrs(unittest.TestCase):
    """A TPM 1.1b need not have more."""

    def test_the_aggregate_lists_those_that_there_are(self) -> None:
        out = boot("pcrs16", "1.2")
        told, before, after = out.told("pcrs16"), out.kernel("before"), out.kernel("pcrs16")
        self.assertEqual((told.status, told.stdout), (0, before.log), told)
        (record,) = (r for r in imalog.records(after.log) if r.is_aggregate)
        listed = imalog.aggregate(record).pcrs
        self.assertEqual(list(listed), [("sha1", pcr) for pcr in range(16)])
        replay = imalog.Replay(("sha1",))
        for earlier in imalog.records(before.log):
            replay.add(earlier)
        self.assertEqual(replay.banks["sha1"][MEASURED_PCR], listed["sha1", MEASURED_PCR])
