# SPDX-License-Identifier: GPL-2.0-or-later
"""Quotes by ima-snapshot and by tpm2-tools, each verified by both, over the stitched log."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from e2e import guests
from e2e.guests import Out
from imaharness import imalog
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")


class Quote(unittest.TestCase):
    first: ClassVar[Out]
    second: ClassVar[Out]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        guests.need_tool("tpm2_checkquote")
        kept = tempfile.TemporaryDirectory(prefix="ima-quote-")
        cls.addClassCleanup(kept.cleanup)
        tpm = TpmSpec(banks=BANKS, state=Path(kept.name) / "tpm")
        disk = f"{kept.name}/disk.img:64M"
        cls.first = Out(guests.boot(guests.spec("quote.sh", "quote-1", tpm=tpm, disk=disk)).out)
        cls.second = Out(guests.boot(guests.spec("quote.sh", "quote-2", tpm=tpm, disk=disk)).out)

    def record_of(self, out: Out, name: str) -> int:
        """The number, since cold boot, of the record for a file that was measured once."""
        numbers = [r.number for r in imalog.records(out.ran("cat").stdout) if r.event == name]
        self.assertEqual(len(numbers), 1, name)
        return numbers[0]

    def check_matched(self, name: str, record: int) -> None:
        ran = self.first.ran(name)
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(ran.json["matched_record"], record, name)
        self.assertTrue(ran.json["quote"]["reset_count_checked"], name)
        for bank in BANKS:
            self.assertTrue(ran.json["banks"][bank]["compared"], bank)

    def test_an_ak_is_made_once_and_its_private_part_is_hidden(self) -> None:
        for name in ("ak.rsa", "ak.ecc"):
            ran = self.first.ran(name)
            self.assertEqual(ran.status, 0, ran)
            self.assertTrue(ran.json["tpm_name"].startswith("000b"))
        again = self.first.ran("ak.again")
        self.assertEqual(again.status, 1, again)
        self.assertEqual(again.error["cause"], "ak_exists")
        modes = {line.split()[-1]: line.split()[0] for line in (self.first / "ak.list").read_text().splitlines()[1:]}
        self.assertEqual({modes[f"{n}.priv"] for n in ("rsa", "ecc")}, {"-rw-------"})
        self.assertEqual({modes[f"{n}.pub"] for n in ("rsa", "ecc")}, {"-rw-r-----"})

    def test_tpm2_checkquote_takes_our_quotes_with_the_right_nonce_only(self) -> None:
        for name in ("referee.before", "referee.after", "referee.theirs"):
            ran = self.first.ran(name)
            self.assertEqual(ran.status, 0, ran)
        self.assertNotEqual(self.first.ran("referee.nonce").status, 0)

    def test_quotes_match_at_the_record_where_they_were_made(self) -> None:
        # An old quote matches at the last record before the snapshot that followed it.
        self.check_matched("before", self.record_of(self.first, "/load/same/20"))
        self.check_matched("before.pcrs", self.record_of(self.first, "/load/same/20"))
        after = self.record_of(self.first, "/load/between/20")
        for name in ("after", "after.pcrs", "theirs"):
            self.check_matched(name, after)
        self.assertEqual(self.first.ran("before").json["records"], self.first.kernel().total)

    def test_a_wrong_nonce_or_ak_is_a_mismatch(self) -> None:
        nonce, key = self.first.ran("wrong-nonce"), self.first.ran("wrong-ak")
        self.assertEqual((nonce.status, key.status), (3, 3), f"{nonce}\n{key}")
        self.assertEqual(nonce.error["cause"], "nonce")
        self.assertEqual(nonce.error["found"], "00112233445566778899aabbccddeeff")
        self.assertEqual(nonce.error["expected"], "aa")
        self.assertEqual(key.error["cause"], "signature_scheme")

    def test_a_quote_of_the_boot_before_is_recognized(self) -> None:
        for name in ("replayed", "replayed.stored"):
            ran = self.second.ran(name)
            self.assertEqual(ran.status, 3, ran)
            self.assertEqual(ran.error["cause"], "other_boot")
        # Only the reset count shows it: both boots first measured the same files.
        ignored = self.second.ran("replayed.ignored")
        self.assertEqual(ignored.status, 0, ignored)
        self.assertEqual(ignored.json["matched_record"], self.record_of(self.second, "/load/same/20"))
        self.assertFalse(ignored.json["quote"]["reset_count_checked"])

    def test_the_ak_of_the_boot_before_still_quotes(self) -> None:
        now = self.second.ran("now")
        self.assertEqual(now.status, 0, now)
        then = self.first.ran("before").json["quote"]
        self.assertEqual(now.json["quote"]["ak_id"], then["ak_id"])
        self.assertGreater(now.json["quote"]["clock"]["reset_count"], then["clock"]["reset_count"])
