# SPDX-License-Identifier: GPL-2.0-or-later
"""How much longer a record takes while a snapshot is opened."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from imaharness import paths, shimlog

from . import figures, guests
from .figures import Span
from .tables import Outcome, Table, Target

_BANKS = ("sha1", "sha256", "sha384")
# Each opening and the pause after it, which is at least as long, are a round. Its
# worst record is nearly always the first one that waited for the snapshot's mutex.
# The median over the rounds is not affected by those in which the host was busy.
_OPENINGS = 60
# Delay of each command by the shim: shortest pause between openings. Both in ms.
_DELAYS = {0: 40, 10: 200}


def _span(o: dict[str, Any]) -> Span:
    return Span(o["start"], o["end"])


def _one(found: guests.Found) -> dict[str, Any]:
    records = [_span(o) for o in found.of("record")]
    openings = [_span(o) for o in found.of("opening")]
    latency = figures.latency(figures.rounds(records, openings, 1))
    read = median(o["ns"] for o in found.of("command", command="read"))
    extend = median(o["ns"] for o in found.of("command", command="extend"))
    return {
        **asdict(latency),
        "added": latency.added,
        "noise": latency.worst_ordinary - latency.ordinary,
        "read": read,
        "extend": extend,
        "limit": read + extend,
        "opening": median(o.length for o in openings),
        "records": len(records),
    }


def measure(setup: guests.Setup) -> Outcome:
    result: dict[int, dict[str, Any]] = {}
    for delay, gap in _DELAYS.items():
        log = paths.BUILD / "bench" / f"latency-{delay}.log"
        tpm = shimlog.shimmed_tpm(_BANKS, log, delay)
        arguments = [",".join(_BANKS), str(_OPENINGS), str(gap)]
        found = guests.run(setup, "latency.sh", arguments, tpm=tpm)
        log.rename(found.out / "commands.log")
        result[delay] = _one(found)
    outcome = Outcome("latency", figures={"banks": _BANKS, "by_delay_ms": result})
    outcome.tables.append(_table(result))
    outcome.targets = [_target(delay, one) for delay, one in result.items()]
    return outcome


def _name(delay: int) -> str:
    return f"each command {delay} ms slower" if delay else "swtpm without delay"


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.2f}"


def _table(result: dict[int, dict[str, Any]]) -> Table:
    keys = ("ordinary", "worst_ordinary", "worst_during", "added", "read", "extend", "limit", "worst_ordinary_ever",
            "worst_during_ever", "opening")  # fmt: skip
    head = ["ms", "ordinary", "worst in a pause", "worst in an opening", "added", "read", "extend", "sum",
            "worst of all pauses", "of all openings", "open()"]  # fmt: skip
    rows = [[_name(delay), *(_ms(one[k]) for k in keys)] for delay, one in result.items()]
    title = f"Latency of a record, three banks (worst: of one opening or pause, median of {_OPENINGS})"
    return Table(title, head, rows)


def _target(delay: int, one: dict[str, Any]) -> Target:
    return Target(
        f"{_name(delay)}: worst added latency at most one read and one extend",
        f"{_ms(one['added'])} ms of {_ms(one['limit'])} ms (in a pause: {_ms(one['noise'])} ms)",
        one["added"] <= one["limit"],
    )
