# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's part of the benchmark: how it checks logs, and what it computes from samples and runs."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from unittest import mock

import support
from bench import host, hostlogs, hostprofile
from bench.hostlogs import HostLog
from imaharness import process
from imaharness.errors import HarnessError
from imaharness.evmctl import Verdict

_RECORD = (10).to_bytes(4, "little") + bytes(20) + b"\6\0\0\0ima-ng" + b"\3\0\0\0abc"
_MATCHED = "Matched per TPM bank calculated digest(s).\n"


class Referee(support.TemporaryDirectory):
    """evmctl is accepted only if it needs every record."""

    def setUp(self) -> None:
        super().setUp()
        self.log = HostLog(20_000, ("sha256",), self.tmp)
        live = self.log.parts[-1]
        live.parent.mkdir(parents=True)
        live.write_bytes(_RECORD * 3)
        self.log.whole.write_bytes(_RECORD * 5)
        self.sizes: list[int] = []

    def check(self, without_last: Verdict, whole: Verdict) -> None:
        verdicts = [without_last, whole]

        def judge(argv: list[str]) -> Verdict:
            self.sizes.append(Path(argv[-1]).stat().st_size)
            return verdicts[len(self.sizes) - 1]

        with mock.patch.object(hostlogs, "_judge", judge):
            hostlogs.check_referee(self.log)

    def test_is_asked_with_and_without_the_last_record(self) -> None:
        self.check(Verdict(1, ""), Verdict(0, _MATCHED))
        self.assertEqual(self.sizes, [4 * len(_RECORD), 5 * len(_RECORD)])
        self.assertFalse((self.log.directory / "shorter.bin").exists())

    def test_that_matches_earlier_is_refused(self) -> None:
        with self.assertRaisesRegex(HarnessError, "without its last record"):
            self.check(Verdict(0, _MATCHED), Verdict(0, _MATCHED))

    def test_that_read_no_pcrs_is_refused(self) -> None:
        with self.assertRaisesRegex(HarnessError, "refuses it: exit 0"):
            self.check(Verdict(1, ""), Verdict(0, "Failed to read any TPM PCRs\n"))


class Profile(unittest.TestCase):
    def test_samples_are_added_up_by_what_they_belong_to(self) -> None:
        lines = [
            "    40.00%  libcrypto.so.3       [.] sha256_block_data_order",
            "    10.00%  libcrypto.so.3       [.] EVP_DigestUpdate",
            "    20.00%  ima-snapshot         [.] imasnap::LogReader::Next",
            "     5.00%  ima-snapshot         [.] imasnap::VerifyPass::OnRecord",
            "     3.00%  ima-snapshot         [.] main",
            "",
        ]
        self.assertEqual(
            hostprofile.group(lines),
            {
                "hashes (OpenSSL)": 50.0,
                "reading and parsing records": 20.0,
                "replay and PCRs": 5.0,
                "other": 3.0,
            },
        )


class Runs(unittest.TestCase):
    def test_a_run_that_failed_is_no_measurement(self) -> None:
        output = json.dumps({"status": 3, "wall_ns": 1, "cpu_ns": 1, "peak_kib": 1})
        with (
            mock.patch.object(process, "output", return_value=output),
            self.assertRaisesRegex(HarnessError, "ima-snapshot verify: exit 3"),
        ):
            host.once(["ima-snapshot", "verify"])

    def test_targets_compare_with_evmctl_and_with_the_shortest_log(self) -> None:
        def log(records: int, peak: int) -> host.Figures:
            run = {"wall_ns": 1000, "cpu_ns": 1000, "peak_kib": peak * 1024}
            return {
                "records": records,
                "banks": ["sha256"],
                "runs": {
                    "evmctl": {**run, "wall_ns": 5000},
                    "verify": run,
                    "cat": {**run, "wall_ns": 1001},
                    "the start of evmctl": {**run, "wall_ns": 1400},
                    "the program's start": {**run, "wall_ns": 900},
                },
            }

        with mock.patch.object(host, "_BANKS", (("sha256",),)):
            targets = host._targets([log(10, 20), log(1000, 23)])
        self.assertEqual([t.met for t in targets], [True, False, True, False, False, False])
        self.assertEqual(targets[0].measured, "5.0 times; 36 without the programs' start")
        self.assertEqual(targets[-1].measured, "23.0 MiB, 1.15 times")


if __name__ == "__main__":
    unittest.main()
