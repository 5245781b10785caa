# SPDX-License-Identifier: GPL-2.0-or-later
"""How long it takes from open() until the whole list is read, for lists of several lengths."""

from __future__ import annotations

from statistics import median
from typing import Any

from . import guests
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
# Guest, which of its reads, title.
_WAYS = {
    "snapshot": ("series", "snapshot", "snapshot file (series)"),
    "resumed list": ("series", "list", "binary_runtime_measurements (series)"),
    "staging": ("series, staging", "staged", "stage, then _staged file (series)"),
    "stock list": ("stock", "list", "binary_runtime_measurements (stock)"),
    "stock staging": ("stock", "staged", "stage, then _staged file (stock)"),
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


def measure(setup: guests.Setup) -> Outcome:
    sizes = [f"{records}:{times}" for records, times in _TIMES.items()]
    found = {
        name: guests.run(setup, "reading.sh", [how, *sizes], flavour=flavour) for name, (flavour, how) in _GUESTS.items()
    }
    figures = {
        way: {records: _one(found[guest], records, label) for records in _TIMES} for way, (guest, label, _) in _WAYS.items()
    }
    # The time to stage counts, too. The requests are in the order of _TIMES.
    stage_ns = {}
    for way, guest in (("staging", "series, staging"), ("stock staging", "stock")):
        stage_ns[way] = [r["ns"] for r in found[guest].of("request", request="A")]
        for ns, records in zip(stage_ns[way], _TIMES, strict=True):
            figures[way][records]["ns"] += ns
    outcome = Outcome("reading", figures={"ways": figures, "stage_ns": stage_ns, "purge_ns": _purges(found["series"])})
    outcome.tables.append(_table(figures))
    outcome.targets = _targets(figures)
    return outcome


def _purges(found: guests.Found) -> dict[int, int]:
    """How long the write that purges took."""
    return {n: max(r["purge_ns"] for r in found.of("read", label=f"{n}:snapshot")) for n in _TIMES}


def _table(figures: dict[str, dict[int, dict[str, Any]]]) -> Table:
    head = ["from open() to the end (no TPM)"]
    for records in _TIMES:
        head += [f"{records} records", "us per record"]
    rows = []
    for way, (_, _, title) in _WAYS.items():
        row = [title]
        for records in _TIMES:
            one = figures[way][records]
            row += [f"{one['ns'] / 1e6:.1f} ms", f"{one['us_per_record']:.2f}"]
        rows.append(row)
    return Table(f"Reading (median of {', '.join(map(str, _TIMES.values()))})", head, rows)


def _targets(figures: dict[str, dict[int, dict[str, Any]]]) -> list[Target]:
    shortest = min(_TIMES)
    targets = []
    for way in ("snapshot", "resumed list"):
        per = {n: figures[way][n]["us_per_record"] for n in _TIMES}
        ratio = per[_LONGEST] / per[shortest]
        targets.append(
            Target(
                f"{way} linear: a record at {_LONGEST} at most {_LINEAR:g} times one at {shortest}",
                f"{ratio:.2f} times",
                ratio <= _LINEAR,
            )
        )
    faster = figures["stock staging"][_LONGEST]["ns"] / figures["snapshot"][_LONGEST]["ns"]
    targets.append(
        Target(
            f"snapshot at {_LONGEST} at least {_FASTER_THAN_STAGING:.0f} times faster than stock staging",
            f"{faster:.1f} times",
            faster >= _FASTER_THAN_STAGING,
        )
    )
    return targets
