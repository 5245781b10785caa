# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests' own parser and replay, on logs made here."""

from __future__ import annotations

import hashlib
import struct
import unittest

import support  # noqa: F401  (puts the harness on the path)
from imaharness import imalog
from imaharness.imalog import LogError


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def record(name: str, content: bytes, pcr: int = 10, violation: bool = False) -> bytes:
    fields = (b"sha256:\0" + hashlib.sha256(content).digest(), name.encode() + b"\0")
    return made("ima-ng", fields, pcr, violation)


def made(template: str, fields: tuple[bytes, ...], pcr: int = 10, violation: bool = False) -> bytes:
    data = b"".join(u32(len(f)) + f for f in fields)
    digest = bytes(20) if violation else hashlib.sha1(data).digest()
    return u32(pcr) + digest + u32(len(template)) + template.encode() + u32(len(data)) + data


def aggregate(text: bytes) -> imalog.Record:
    fields = (b"sha256:\0" + hashlib.sha256(text).digest(), b"snapshot_aggregate\0", text)
    return next(imalog.records(made("ima-buf", fields)))


TAIL = b"Record_Count=7;Segment_Hash=sha256:" + b"ab" * 32 + b";"


class Reading(unittest.TestCase):
    def test_records_are_distinguished(self) -> None:
        log = record("/a", b"1") + record("/b", b"2", pcr=11)
        first, second = imalog.records(log)
        self.assertEqual((first.number, first.offset, first.pcr, first.event), (1, 0, 10, "/a"))
        self.assertEqual((second.number, second.offset, second.pcr, second.event), (2, len(first.raw), 11, "/b"))
        self.assertEqual(first.raw + second.raw, log)

    def test_a_log_cut_anywhere_inside_a_record_is_refused(self) -> None:
        log = record("/a", b"1")
        for size in range(1, len(log)):
            with self.subTest(size), self.assertRaises(LogError):
                list(imalog.records(log[:size]))
        self.assertEqual(list(imalog.records(b"")), [])

    def test_a_wrong_header_is_found(self) -> None:
        log = bytearray(record("/a", b"1") + record("/b", b"2"))
        log[-2] ^= 1
        self.assertEqual(imalog.wrong_digests(imalog.records(bytes(log))), [2])


class Replaying(unittest.TestCase):
    def test_each_record_extends_its_pcr(self) -> None:
        replay = imalog.Replay(["sha256"])
        log = record("/a", b"1") + record("/b", b"2", pcr=11)
        for r in imalog.records(log):
            replay.add(r)
        for r in imalog.records(log):
            extended = hashlib.sha256(bytes(32) + hashlib.sha256(r.data).digest()).digest()
            self.assertEqual(replay.banks["sha256"][r.pcr], extended)
        self.assertEqual(replay.banks["sha256"][17], b"\xff" * 32)
        self.assertEqual(replay.banks["sha256"][23], bytes(32))

    def test_a_violation_extends_ones(self) -> None:
        (r,) = imalog.records(record("/a", b"1", violation=True))
        self.assertEqual(imalog.template_digest(r, "sha384"), b"\xff" * 48)

    def test_the_ima_template_pads_its_name(self) -> None:
        digest = hashlib.sha1(b"1").digest()
        name = b"/a"
        padded = hashlib.sha1(digest + name + bytes(254)).digest()
        (r,) = imalog.records(u32(10) + padded + u32(3) + b"ima" + digest + u32(len(name)) + name)
        self.assertEqual(imalog.template_digest(r, "sha1"), padded)


class Aggregates(unittest.TestCase):
    def test_the_values_are_read(self) -> None:
        text = b"Snapshot_Attempt_Count=3;sha1:PCR0:0x" + b"0A" * 20 + b",sha1:PCR10:0x" + b"FF" * 20 + b";" + TAIL
        parsed = imalog.aggregate(aggregate(text))
        self.assertEqual((parsed.attempt, parsed.record_count, parsed.banks), (3, 7, ("sha1",)))
        self.assertEqual(parsed.segment_hash, "ab" * 32)
        self.assertEqual(parsed.value("sha1", 0), b"\x0a" * 20)
        self.assertEqual(parsed.value("sha1", 1), bytes(20))
        self.assertEqual(parsed.value("sha1", 18), b"\xff" * 20)

    def test_what_breaks_the_grammar_is_refused(self) -> None:
        pcr = b"sha1:PCR0:0x" + b"0A" * 20
        for text in (
            b"Snapshot_Attempt_Count=03;" + TAIL,
            b"Snapshot_Attempt_Count=3;" + TAIL + b"\0",
            b"Snapshot_Attempt_Count=3;" + pcr.lower().replace(b"pcr", b"PCR") + b";" + TAIL,
            b"Snapshot_Attempt_Count=3;" + pcr + b"," + pcr + b";" + TAIL,
            b"Snapshot_Attempt_Count=3;" + pcr + b";" + pcr + b";" + TAIL,
            b"Snapshot_Attempt_Count=3;" + pcr.replace(b"PCR0", b"PCR24") + b";" + TAIL,
        ):
            with self.subTest(text), self.assertRaises(LogError):
                imalog.aggregate(aggregate(text))

    def test_a_wrong_data_hash_is_refused(self) -> None:
        fields = (b"sha256:\0" + bytes(32), b"snapshot_aggregate\0", b"Snapshot_Attempt_Count=3;" + TAIL)
        (r,) = imalog.records(made("ima-buf", fields))
        with self.assertRaises(LogError):
            imalog.aggregate(r)
