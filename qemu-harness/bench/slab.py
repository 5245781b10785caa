# SPDX-License-Identifier: GPL-2.0-or-later
"""How much kernel memory is freed when records are removed."""

from __future__ import annotations

from statistics import median
from typing import Any

from . import figures, guests
from .tables import Outcome, Table, Target

_RECORDS = 30_000
_TIMES = 3
_GIVEN_BACK = 99.0

_WAYS = {
    "snapshot": ("patched", "snapshot", (), "snapshot, purged (series)"),
    "staging": ("stock", "staging", (), "staged, deleted (stock)"),
    "staging, flushed": ("stock", "staging", ("ima_flush_htable",), "the same, ima_flush_htable (stock)"),
}


def _one(found: guests.Found) -> dict[str, Any]:
    labels = ("before", "with", "after")
    series = [[o["bytes"] for o in found.of("slab", label=label)] for label in labels]
    turns = list(zip(*series, strict=True))
    return {
        "turns": turns,
        "before": median(t[0] for t in turns),
        "with": median(t[1] for t in turns),
        "after": median(t[2] for t in turns),
        "bytes_per_record": median((t[1] - t[0]) / _RECORDS for t in turns),
        "percent": median(figures.share_given_back(*t) for t in turns),
    }


def measure(setup: guests.Setup) -> Outcome:
    result: dict[str, dict[str, Any]] = {}
    for way, (flavour, how, append, _) in _WAYS.items():
        arguments = [how, str(_RECORDS), str(_TIMES)]
        result[way] = _one(guests.run(setup, "slab.sh", arguments, flavour=flavour, append=append))
    outcome = Outcome("slab", figures={"records": _RECORDS, "ways": result})
    outcome.tables.append(_table(result))
    percent = result["snapshot"]["percent"]
    outcome.targets.append(
        Target(f"at least {_GIVEN_BACK:.0f} % given back", f"{percent:.2f} %", percent >= _GIVEN_BACK)
    )
    return outcome


def _table(result: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for way, (_, _, _, title) in _WAYS.items():
        one = result[way]
        sizes = [f"{one[label] / 1024:.0f} KiB" for label in ("before", "with", "after")]
        rows.append([title, *sizes, f"{one['bytes_per_record']:.0f}", f"{one['percent']:.2f} %"])
    head = ["slab pages", "before", "with records", "after", "bytes per record", "given back"]
    return Table(f"Memory of {_RECORDS} records (median of {_TIMES})", head, rows)
