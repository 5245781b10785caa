# SPDX-License-Identifier: GPL-2.0-or-later
"""Read, check and replay measurement lists.

This implementation is for the tests and shares nothing with the program under test.
The kernel defines the format (ima_measurements_show() in security/integrity/ima):

    u32 PCR, template digest, u32 length + template name,
    u32 length + template data (for 'ima': 20 bytes of digest, u32 length + name)
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

AGGREGATE = "snapshot_aggregate"
PCRS = 24
_IMA_NAME_BYTES = 256  # the digest of the 'ima' template pads names to this length


class LogError(Exception):
    """The bytes are not a measurement list; the text says where."""


@dataclass(frozen=True)
class Record:
    """One record. NUMBER counts from 1; OFFSET is the offset of its first byte."""

    number: int
    offset: int
    pcr: int
    digest: bytes
    template: str
    data: bytes
    fields: tuple[bytes, ...]
    raw: bytes

    @property
    def violation(self) -> bool:
        return not any(self.digest)

    @property
    def event(self) -> str:
        """The name of what was measured."""
        return self.fields[1].rstrip(b"\0").decode(errors="surrogateescape")

    @property
    def is_aggregate(self) -> bool:
        return self.template == "ima-buf" and self.event == AGGREGATE


class _Cursor:
    def __init__(self, data: bytes, where: str, base: int = 0) -> None:
        self.data, self.where, self.base, self.at = data, where, base, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise LogError(f"{self.where}: {size} bytes expected at offset {self.base + self.at}, but the data ends")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    @property
    def left(self) -> bool:
        return self.at < len(self.data)


def _fields(data: bytes, where: str, base: int) -> tuple[bytes, ...]:
    cursor = _Cursor(data, where, base)
    fields = []
    while cursor.left:
        fields.append(cursor.take(cursor.number()))
    if len(fields) < 2:
        raise LogError(f"{where}: {len(fields)} fields at offset {base}")
    return tuple(fields)


def records(log: bytes, digest_size: int = 20) -> Iterator[Record]:
    """The records of LOG in order; LogError at the first byte that cannot be one."""
    cursor = _Cursor(log, "record 1")
    number = 0
    while cursor.left:
        number += 1
        cursor.where = f"record {number}"
        begin = cursor.at
        pcr = cursor.number()
        digest = cursor.take(digest_size)
        try:
            template = cursor.take(cursor.number()).decode("ascii")
        except UnicodeDecodeError as e:
            raise LogError(f"record {number}: template name at offset {begin} is not ASCII") from e
        fields: tuple[bytes, ...]
        if template == "ima":
            file_digest = cursor.take(20)
            name = cursor.take(cursor.number())
            data, fields = file_digest + name, (file_digest, name)
        else:
            size = cursor.number()
            at = cursor.at
            data = cursor.take(size)
            fields = _fields(data, f"record {number}", at)
        yield Record(number, begin, pcr, digest, template, data, fields, log[begin : cursor.at])


def template_digest(record: Record, algorithm: str) -> bytes:
    """What the kernel extends for RECORD in the bank of ALGORITHM."""
    digest = hashlib.new(algorithm)
    if record.violation:
        return b"\xff" * digest.digest_size
    if record.template == "ima":
        digest.update(record.fields[0] + record.fields[1].ljust(_IMA_NAME_BYTES, b"\0"))
    else:
        digest.update(record.data)
    return digest.digest()


def reset_value(algorithm: str, pcr: int) -> bytes:
    """What a PCR of a PC's TPM holds after a reset."""
    return (b"\xff" if 17 <= pcr <= 22 else b"\0") * hashlib.new(algorithm).digest_size


class Replay:
    """The PCRs of some banks after replaying a log."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self.banks = {a: [reset_value(a, pcr) for pcr in range(PCRS)] for a in algorithms}

    def add(self, record: Record) -> None:
        for algorithm, pcrs in self.banks.items():
            extended = pcrs[record.pcr] + template_digest(record, algorithm)
            pcrs[record.pcr] = hashlib.new(algorithm, extended).digest()


def wrong_digests(log: Iterable[Record]) -> list[int]:
    """The numbers of the records whose SHA-1 digest does not match their data."""
    return [r.number for r in log if not r.violation and template_digest(r, "sha1") != r.digest]


@dataclass(frozen=True)
class Aggregate:
    """The contents of a snapshot_aggregate. A PCR that it does not list has its reset value."""

    attempt: int
    pcrs: Mapping[tuple[str, int], bytes]
    banks: tuple[str, ...]
    record_count: int
    segment_hash: str

    def value(self, algorithm: str, pcr: int) -> bytes:
        return self.pcrs.get((algorithm, pcr), reset_value(algorithm, pcr))


_GRAMMAR = re.compile(
    r"Snapshot_Attempt_Count=(?P<attempt>0|[1-9]\d*);"
    r"(?P<banks>(?:\w+:PCR\d+:0x[0-9A-F]+(?:,\w+:PCR\d+:0x[0-9A-F]+)*;)*)"
    r"Record_Count=(?P<count>0|[1-9]\d*);"
    r"Segment_Hash=sha256:(?P<hash>[0-9a-f]{64});"
)


def aggregate(record: Record) -> Aggregate:
    """Parse a snapshot_aggregate and check d-ng; LogError if it breaks the grammar."""
    where = f"record {record.number}"
    algorithm, _, digest = record.fields[0].partition(b":\0")
    buffer = record.fields[2]
    if hashlib.new(algorithm.decode(), buffer).digest() != digest:
        raise LogError(f"{where}: d-ng is not the digest of the buffer")
    found = _GRAMMAR.fullmatch(buffer.decode("ascii"))
    if found is None:
        raise LogError(f"{where}: breaks the grammar of an aggregate: {buffer!r}")
    pcrs: dict[tuple[str, int], bytes] = {}
    banks: list[str] = []
    for bank in found["banks"].split(";")[:-1]:
        names = set()
        last = -1
        for entry in bank.split(","):
            name, pcr_text, value = entry.split(":")
            pcr = int(pcr_text.removeprefix("PCR"))
            if not last < pcr < PCRS:
                raise LogError(f"{where}: {name} PCR {pcr} follows PCR {last}")
            last = pcr
            names.add(name)
            pcrs[name, pcr] = bytes.fromhex(value[2:])
        if len(names) != 1 or banks.count(next(iter(names))):
            raise LogError(f"{where}: banks are mixed: {bank!r}")
        banks.append(names.pop())
    return Aggregate(int(found["attempt"]), pcrs, tuple(banks), int(found["count"]), found["hash"])
