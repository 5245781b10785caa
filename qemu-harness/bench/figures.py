# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic of the benchmark: medians, percentages, and which record waited for which opening."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def share_given_back(before: int, filled: int, after: int) -> float:
    """The percentage of the growth from BEFORE to FILLED that is gone AFTER."""
    if filled <= before:
        raise ValueError(f"no growth: {before} bytes before, {filled} with records")
    return 100.0 * (filled - after) / (filled - before)


@dataclass(frozen=True)
class Split:
    """What a snapshot's time went into, in nanoseconds. Both its open() and its read() walk the list."""

    walk: float  # and format the records
    hash: float
    copy: float
    total: float


def split(opening: float, reading: float, size: float, hash_per_byte: float) -> Split:
    """Split the time of open(), which walks and hashes, and that of reading, which walks and copies."""
    hashing = size * hash_per_byte
    walk = opening - hashing
    return Split(walk, hashing, reading - walk, opening + reading)


@dataclass(frozen=True)
class Span:
    """When something began and ended, in nanoseconds of one clock."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Round:
    """Consecutive openings: the latencies of records between and during them."""

    ordinary: Sequence[int]  # nanoseconds
    during: Sequence[int]

    @property
    def worst_ordinary(self) -> int:
        return max(self.ordinary)

    @property
    def worst_during(self) -> int:
        return max(self.during)


def rounds(records: Sequence[Span], openings: Sequence[Span], size: int) -> list[Round]:
    """Split a run into rounds of SIZE openings.

    A record is during an opening if the two overlap. A round lasts until the first
    opening of the next one. Records before the first opening and in an incomplete
    last round are left out. So are rounds in which the measuring processes did not
    run; more than half of the rounds must remain.
    """
    openings = sorted(openings, key=lambda o: o.start)
    starts = [o.start for o in openings]
    ends = [o.end for o in openings]
    whole = len(openings) // size
    ordinary: list[list[int]] = [[] for _ in range(whole)]
    during: list[list[int]] = [[] for _ in range(whole)]
    for record in records:
        # The first opening that ends after the record began: they overlap if
        # it began before the record ended.
        following = bisect.bisect_left(ends, record.start)
        overlaps = following < len(openings) and starts[following] <= record.end
        nearest = following if overlaps else following - 1
        number = nearest // size
        if 0 <= number < whole:
            (during if overlaps else ordinary)[number].append(record.length)
    found = [Round(o, d) for o, d in zip(ordinary, during, strict=True) if o and d]
    if 2 * len(found) <= whole:
        raise ValueError(f"{len(found)} of {whole} rounds have records both during and between openings")
    return found


@dataclass(frozen=True)
class Latency:
    """How long the records of one run waited, in nanoseconds."""

    ordinary: float  # median of all ordinary records
    worst_ordinary: float  # of a round; median of the rounds
    worst_during: float  # of a round; median of the rounds
    worst_ordinary_ever: int
    worst_during_ever: int

    @property
    def added(self) -> float:
        return self.worst_during - self.ordinary


def latency(found: Sequence[Round]) -> Latency:
    return Latency(
        ordinary=median(n for r in found for n in r.ordinary),
        worst_ordinary=median(r.worst_ordinary for r in found),
        worst_during=median(r.worst_during for r in found),
        worst_ordinary_ever=max(r.worst_ordinary for r in found),
        worst_during_ever=max(r.worst_during for r in found),
    )
