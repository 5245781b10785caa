# SPDX-License-Identifier: GPL-2.0-or-later
"""As much of a binary measurement list as tells whose an extend is."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SHA1_SIZE = 20


@dataclass(frozen=True)
class Record:
    """One record of a list of little-endian, hashed templates with a name in their second field."""

    pcr: int
    template: str
    data: bytes

    @property
    def event(self) -> str:
        first = _u32(self.data, 0)
        size = _u32(self.data, 4 + first)
        name = self.data[8 + first : 8 + first + size]
        if len(name) != size:
            raise ValueError(f"the name of a record of {self.template} passes its end")
        return name.split(b"\0")[0].decode(errors="replace")

    def digest(self, algorithm: str) -> bytes:
        """What the record extends a bank with."""
        return hashlib.new(algorithm, self.data).digest()


def _u32(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise ValueError(f"the list ends within a record, at byte {at}")
    return int(struct.unpack_from("<I", data, at)[0])


def records(data: bytes) -> Iterator[Record]:
    """The records of a list; ValueError where it is none."""
    at = 0
    while at < len(data):
        pcr = _u32(data, at)
        at += 4 + _SHA1_SIZE
        size = _u32(data, at)
        template = data[at + 4 : at + 4 + size].decode(errors="replace")
        at += 4 + size
        size = _u32(data, at)
        content = data[at + 4 : at + 4 + size]
        if len(content) != size:
            raise ValueError(f"the list ends within a record, at byte {at}")
        at += 4 + size
        yield Record(pcr, template, content)
