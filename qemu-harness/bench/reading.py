# SPDX-License-Identifier: GPL-2.0-or-later
"""How long it takes from open() until the whole list is read, for lists of several lengths."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from . import figures, guests
from .guests import Sha256
from .tables import Outcome, Table, Target

# Length: how often it is read. Short lists give noisier times.
_TIMES = {1000: 9, 10_000: 5, 100_000: 3}
_LONGEST = max(_TIMES)
_FASTER_THAN_STAGING = 8.0
# Limit for the time per record in the longest list, divided by that in the shortest.
# It is above 1 because a short list stays in the host's caches. With quadratic cost
# the quotient would be 100.
_LINEAR = 2.0

# The guests: flavour of the kernel, how the records are removed.
_GUESTS = {
    "series": ("patched", "snapshot"),
    "series, staging": ("patched", "staging"),
    "stock": ("stock", "staging"),
}
# Guest, which of its reads, title. Without the series there is no snapshot.
_WAYS = {
    "resumed list": ("series", "list", "list, on the series"),
    "stock list": ("stock", "list", "list, on stock"),
    "staging": ("series, staging", "staged", "staging, on the series"),
    "stock staging": ("stock", "staged", "staging, on stock"),
    "snapshot": ("series", "snapshot", "snapshot, on the series"),
}
_SHA256 = {
    Sha256.PLAIN: "SHA-256 in plain C",
    Sha256.ARCH: "SHA-256 of CRYPTO_LIB_SHA256_ARCH",
}


def _one(found: guests.Found, records: int, label: str) -> dict[str, Any]:
    reads = found.of("read", label=f"{records}:{label}")
    if any(r["records"] < records for r in reads):
        raise ValueError(f"{label}: a read gave {min(r['records'] for r in reads)} of {records} records")
    ns = median(r["ns"] for r in reads)
    read = median(r["records"] for r in reads)
    return {
        "records": read,
        "bytes": median(r["bytes"] for r in reads),
        "ns": ns,
        "open_ns": median(r["open_ns"] for r in reads),
        "read_calls": median(r["reads"] for r in reads),
        "us_per_record": ns / read / 1000,
        "all_ns": [r["ns"] for r in reads],
    }


def _split(found: guests.Found) -> figures.Split:
    """What the longest snapshot's time went into."""
    one = _one(found, _LONGEST, "snapshot")
    hashes = found.of("hash", label=f"{_LONGEST}:list")
    per_byte = median(h["ns"] / h["bytes"] for h in hashes)
    return figures.split(one["open_ns"], one["ns"] - one["open_ns"], one["bytes"], per_byte)


def measure(setup: guests.Setup) -> Outcome:
    sizes = [f"{records}:{times}" for records, times in _TIMES.items()]
    found = {
        name: guests.run(setup, "reading.sh", [how, *sizes], flavour=flavour, sha256=Sha256.PLAIN)
        for name, (flavour, how) in _GUESTS.items()
    }
    ways = {
        way: {records: _one(found[guest], records, label) for records in _TIMES} for way, (guest, label, _) in _WAYS.items()
    }
    # The time to stage counts, too. The requests are in the order of _TIMES.
    stage_ns = {}
    for way, guest in (("staging", "series, staging"), ("stock staging", "stock")):
        stage_ns[way] = [r["ns"] for r in found[guest].of("request", request="A")]
        for ns, records in zip(stage_ns[way], _TIMES, strict=True):
            ways[way][records]["ns"] += ns
    arch = guests.run(setup, "reading.sh", ["snapshot", f"{_LONGEST}:{_TIMES[_LONGEST]}"], sha256=Sha256.ARCH)
    splits = {Sha256.PLAIN: _split(found["series"]), Sha256.ARCH: _split(arch)}
    outcome = Outcome("reading")
    outcome.figures = {
        "ways": ways,
        "stage_ns": stage_ns,
        "purge_ns": _purges(found["series"]),
        "splits": {how.name.lower(): asdict(split) for how, split in splits.items()},
    }
    outcome.tables = [_table(ways), _split_table(splits)]
    outcome.targets = _targets(ways)
    return outcome


def _purges(found: guests.Found) -> dict[int, int]:
    """How long the write that purges took."""
    return {n: max(r["purge_ns"] for r in found.of("read", label=f"{n}:snapshot")) for n in _TIMES}


def _table(ways: dict[str, dict[int, dict[str, Any]]]) -> Table:
    head = ["from open() to the end (no TPM, SHA-256 in plain C)"]
    for records in _TIMES:
        head += [f"{records} records", "us per record"]
    rows = []
    for way, (_, _, title) in _WAYS.items():
        row = [title]
        for records in _TIMES:
            one = ways[way][records]
            row += [f"{one['ns'] / 1e6:.1f} ms", f"{one['us_per_record']:.2f}"]
        rows.append(row)
    return Table(f"Reading (median of {', '.join(map(str, _TIMES.values()))})", head, rows)


def _split_table(splits: dict[Sha256, figures.Split]) -> Table:
    head = ["ms", "open(): walk", "open(): SHA-256", "read(): walk", "read(): copy", "sum"]
    rows = []
    for how, split in splits.items():
        parts = (split.walk, split.hash, split.walk, split.copy, split.total)
        rows.append([_SHA256[how], *(f"{ns / 1e6:.1f}" for ns in parts)])
    return Table(f"What a snapshot of {_LONGEST} records spends its time on", head, rows)


def _targets(ways: dict[str, dict[int, dict[str, Any]]]) -> list[Target]:
    shortest = min(_TIMES)
    targets = []
    for way in ("snapshot", "resumed list"):
        per = {n: ways[way][n]["us_per_record"] for n in _TIMES}
        ratio = per[_LONGEST] / per[shortest]
        targets.append(
            Target(
                f"{way} linear: a record at {_LONGEST} at most {_LINEAR:g} times one at {shortest}",
                f"{ratio:.2f} times",
                ratio <= _LINEAR,
            )
        )
    faster = ways["stock staging"][_LONGEST]["ns"] / ways["snapshot"][_LONGEST]["ns"]
    targets.append(
        Target(
            f"snapshot at {_LONGEST} at least {_FASTER_THAN_STAGING:.0f} times faster than stock staging",
            f"{faster:.1f} times",
            faster >= _FASTER_THAN_STAGING,
        )
    )
    return targets
