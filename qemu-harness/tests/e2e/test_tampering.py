# SPDX-License-Identifier: GPL-2.0-or-later
"""A store that was tampered with is refused, and the message names the right place.

The store, the kernel's list and the PCRs are those of a real cycle. The tests change
copies of them, and one more guest verifies them all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from e2e import guests
from e2e.guests import Out, Setting
from imaharness import image, imalog
from imaharness.imalog import Record

SETTING = Setting(("sha1", "sha256"), "crb", disk=False)
MISMATCH = 3
LIVE = "live"


class Case:
    """A copy of everything that is verified, to be changed."""

    def __init__(self, directory: Path, original: Out) -> None:
        self.directory = directory
        shutil.copytree(original / "store", directory / "store", symlinks=True)
        shutil.copytree(original / "pcrs", directory / "pcrs")
        shutil.copytree(original / "ima", directory / "securityfs" / "ima")
        self.live = directory / "securityfs" / "ima" / "binary_runtime_measurements"
        (self.session,) = (directory / "store" / "boots").iterdir()

    def data(self, segment: int) -> Path:
        return self.session / f"{segment:08d}.ima"

    def info(self, segment: int) -> Path:
        return self.session / f"{segment:08d}.json"

    def file(self, segment: int | str) -> Path:
        return self.live if segment == LIVE else self.data(int(segment))

    def flip(self, segment: int | str, offset: int, mask: int = 1) -> None:
        file = self.file(segment)
        data = bytearray(file.read_bytes())
        data[offset] ^= mask
        file.write_bytes(data)

    def replace(self, segment: int | str, old: bytes, new: bytes) -> None:
        file = self.file(segment)
        data = file.read_bytes()
        assert data.count(old) == 1, (segment, data.count(old))
        file.write_bytes(data.replace(old, new))

    def describe_anew(self, segment: int) -> None:
        """Make the metadata agree with the bytes, as a careful forger does."""
        data = self.data(segment).read_bytes()
        text = self.info(segment).read_text()
        metadata = json.loads(text)
        new = {
            metadata["sha256"]: hashlib.sha256(data).hexdigest(),
            f'"bytes": {metadata["bytes"]}': f'"bytes": {len(data)}',
            f'"records": {metadata["records"]}': f'"records": {len(list(imalog.records(data)))}',
        }
        for old, now in new.items():
            assert text.count(old) == 1, (old, text)
            text = text.replace(old, now)
        self.info(segment).write_text(text)

    def swap(self, one: int, other: int) -> None:
        for name in (self.data, self.info):
            first, second = name(one).read_bytes(), name(other).read_bytes()
            name(one).write_bytes(second)
            name(other).write_bytes(first)

    def copy(self, segment: int, to: int) -> None:
        shutil.copy(self.data(segment), self.data(to))
        shutil.copy(self.info(segment), self.info(to))

    def remove(self, segment: int) -> None:
        self.data(segment).unlink()
        self.info(segment).unlink()


@dataclass(frozen=True)
class Wrong:
    """A change and the place that must be named: a segment, and the record since boot if it is one record."""

    change: Callable[[Case], object]
    segment: int | str
    record: int | None = None


class _Log:
    """The positions of segments and records in the unchanged log."""

    def __init__(self, out: Out) -> None:
        self.segments = {n: list(imalog.records(f.read_bytes())) for n, f in enumerate(out.segments(), 1)}
        self.live = list(imalog.records(out.kernel().log))
        self.before = {1: 0}
        for n, records in self.segments.items():
            self.before[n + 1] = self.before[n] + len(records)
        self.total = self.before[4] + len(self.live)

    def ordinary(self, segment: int, skip: int = 40) -> Record:
        """A record in the middle of SEGMENT that is neither an aggregate nor a violation."""
        return next(
            r for r in self.segments[segment][skip:]
            if not r.violation and r.event.startswith("/load/worker")
        )  # fmt: skip

    def violation(self) -> tuple[int, Record]:
        return next((n, r) for n, records in self.segments.items() for r in records if r.violation)


def _forged(record: Record) -> bytes:
    """RECORD with another file digest and the template digest that matches it."""
    digest = record.fields[0]
    data = record.data.replace(digest, digest[:-1] + bytes([digest[-1] ^ 1]))
    return record.raw.replace(record.data, data).replace(record.digest, hashlib.sha1(data).digest())


def wrongs(log: _Log) -> dict[str, Wrong]:
    two = log.ordinary(2)
    at_two = log.before[2] + two.number
    three = log.ordinary(3)
    following = log.segments[2][two.number]  # numbers count from 1
    data_at = two.offset + len(two.raw) - len(two.data)
    name_at = two.offset + two.raw.index(b"/load/worker")
    head = log.segments[2][0]
    value_at = head.raw.index(b"sha256:PCR10:0x") + len("sha256:PCR10:0x")
    violation_segment, violation = log.violation()
    violation_name_at = violation.offset + violation.raw.index(b"/load/violations")
    live_head = log.live[0]

    def described(segment: int, change: Callable[[Case], object]) -> Callable[[Case], None]:
        def both(case: Case) -> None:
            change(case)
            case.describe_anew(segment)

        return both

    def repeat_in_the_middle(case: Case) -> None:
        case.copy(3, to=4)
        case.copy(2, to=3)

    def twice(case: Case) -> None:
        case.replace(2, two.raw, 2 * two.raw)

    def lose(case: Case) -> None:
        case.replace(2, two.raw, b"")

    def forge(case: Case) -> None:
        case.replace(2, two.raw, _forged(two))

    def exchange(case: Case) -> None:
        case.replace(2, two.raw + following.raw, following.raw + two.raw)

    def cut(case: Case) -> None:
        case.data(2).write_bytes(case.data(2).read_bytes()[: two.offset + 30])

    def cut_live(case: Case) -> None:
        case.live.write_bytes(case.live.read_bytes()[: log.live[-1].offset])

    def become_violation(case: Case) -> None:
        case.replace(2, two.digest, bytes(20))

    first_of_two, first_of_three = log.before[2] + 1, log.before[3] + 1
    return {
        # One byte.
        "pcr-number": Wrong(lambda c: c.flip(2, two.offset), 2),
        "template-digest": Wrong(lambda c: c.flip(2, two.offset + 4), 2, at_two),
        # No digest covers it, and the new name is not known: the metadata of the segment shows it.
        "template-name": Wrong(lambda c: c.flip(2, two.offset + 28), 2),
        "template-length": Wrong(lambda c: c.flip(2, data_at - 4), 2, at_two),
        "file-digest": Wrong(lambda c: c.flip(2, data_at + 12), 2, at_two),
        "file-name": Wrong(lambda c: c.flip(2, name_at), 2, at_two),
        "first-byte": Wrong(lambda c: c.flip(1, 4), 1, 1),
        "last-byte": Wrong(lambda c: c.flip(3, -2), 3, None if log.segments[3][-1].violation else log.before[4]),
        "aggregate-value": Wrong(lambda c: c.flip(2, value_at), 2, first_of_two),
        "aggregate-digest": Wrong(lambda c: c.flip(2, 4), 2, first_of_two),
        "name-of-a-violation": Wrong(lambda c: c.flip(violation_segment, violation_name_at), violation_segment),
        "live-aggregate": Wrong(lambda c: c.flip(LIVE, live_head.raw.index(b"sha1:PCR10:0x") + 13), LIVE,
                                log.before[4] + 1),
        "live-record": Wrong(lambda c: c.flip(LIVE, log.live[-1].offset + 4), LIVE, log.total),
        # Whole records, also with metadata that agrees.
        "forged": Wrong(forge, 2),
        "forged-and-described": Wrong(described(2, forge), 2),
        "lost": Wrong(lose, 2),
        "lost-and-described": Wrong(described(2, lose), 2),
        "twice": Wrong(twice, 2),
        "twice-and-described": Wrong(described(2, twice), 2),
        "exchanged": Wrong(exchange, 2),
        "exchanged-and-described": Wrong(described(2, exchange), 2),
        "made-a-violation": Wrong(become_violation, 2),
        "made-a-violation-and-described": Wrong(described(2, become_violation), 2),
        "last-segment-forged-and-described": Wrong(
            described(3, lambda c: c.replace(3, three.raw, _forged(three))), 3),
        "cut": Wrong(cut, 2, at_two),
        "live-cut": Wrong(cut_live, LIVE, log.total - 1),
        # Whole segments.
        "missing-data": Wrong(lambda c: c.data(2).unlink(), 2),
        "missing-first": Wrong(lambda c: c.remove(1), 1),
        "missing-middle": Wrong(lambda c: c.remove(2), 2),
        "missing-last": Wrong(lambda c: c.remove(3), LIVE, first_of_three),
        "empty": Wrong(lambda c: c.data(2).write_bytes(b""), 2),
        "swapped-first": Wrong(lambda c: c.swap(1, 2), 1, 1),
        "swapped-last": Wrong(lambda c: c.swap(2, 3), 2, first_of_two),
        "repeated-in-the-middle": Wrong(repeat_in_the_middle, 3, first_of_three),
        "repeated-at-the-end": Wrong(lambda c: c.copy(3, to=4), 4, log.before[4] + 1),
        "metadata": Wrong(lambda c: c.info(2).write_text(c.info(2).read_text()[:-20]), 2),
        # The PCRs.
        "pcr-value": Wrong(lambda c: _flip_hex(c.directory / "pcrs" / "sha256"), LIVE, log.total),
    }  # fmt: skip


def _flip_hex(file: Path) -> None:
    lines = file.read_text().splitlines()
    value = lines[10]
    lines[10] = value[:-1] + ("0" if value[-1] != "0" else "1")
    file.write_text("\n".join(lines) + "\n")


class Tampering(unittest.TestCase):
    log: ClassVar[_Log]
    wrongs: ClassVar[dict[str, Wrong]]
    out: ClassVar[Out]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        original = guests.cycle(SETTING)
        cls.log = _Log(original)
        cls.wrongs = wrongs(cls.log)
        with tempfile.TemporaryDirectory(prefix="ima-e2e-") as directory:
            cases = Path(directory)
            Case(cases / "untouched", original)
            for name, wrong in cls.wrongs.items():
                wrong.change(Case(cases / name, original))
            guest = guests.spec(
                "judge.sh", "judge", tpm=guests.NO_TPM, copies=[image.Copy(cases, "/judge/cases")]
            )
            cls.out = Out(guests.boot(guest).out)

    def test_untouched_copy_is_accepted(self) -> None:
        ran = self.out.ran("untouched")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(ran.json["matched_record"], self.log.total)
        self.assertTrue(ran.json["ok"])

    def test_each_change_is_refused_and_its_place_named(self) -> None:
        for name, wrong in self.wrongs.items():
            with self.subTest(name):
                ran = self.out.ran(name)
                self.assertEqual(ran.status, MISMATCH, ran)
                found = ran.json["mismatch"]
                self.assertEqual(found["segment"], wrong.segment, found)
                if wrong.record is not None:
                    self.assertEqual(found["record"], wrong.record, found)
                if ran.error["cause"] == "segment_missing":  # the file is the one after it
                    self.assertEqual(ran.error["segment"], wrong.segment, found)
                    continue
                file = "binary_runtime_measurements" if wrong.segment == LIVE else f"{wrong.segment:08d}"
                self.assertIn(file, ran.error["file"])
