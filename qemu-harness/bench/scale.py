# SPDX-License-Identifier: GPL-2.0-or-later
"""What lists of 1,000 to 1,000,000 records cost: to open, to export, to remove, and to measure meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from imaharness import paths
from imaharness.tpm import TpmSpec

from . import guests, pictures
from .tables import Outcome, Table, Target

_LENGTHS = (1000, 10_000, 100_000, 1_000_000)
# Stock walks the list anew for each read(): ten times the length takes a hundred times as long.
_LONGEST_ON_STOCK = 100_000
_STEP = 1000  # records whose cost is measured at once, as scale.sh does
_FLAT = 1.2
_WAIT_MS = 1.0
_MEMORY_MIB = 2048
_SECONDS = 60
_LIMIT = 2000
_BANKS = ("sha1", "sha256")
_AROUND_OPEN = 10_000

# Way: flavour of the kernel, the name in scale.sh, title. The first two run in one boot.
_WAYS = {
    "snapshot": ("patched", "snapshot", "snapshot"),
    "staging": ("patched", "staging", "staging, on the series"),
    "stock staging": ("stock", "staging", "staging, on stock"),
}
_PHASES = ("open", "export", "remove")
PICTURES = paths.HARNESS / "results" / "scale"


def _turns(found: guests.Found) -> list[list[dict[str, Any]]]:
    """The objects of each turn of scale.sh."""
    turns: list[list[dict[str, Any]]] = []
    for thing in found.objects:
        if thing["what"] == "turn":
            turns.append([])
        if turns:
            turns[-1].append(thing)
    return turns


def latencies(things: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The latencies of the records that overlap each phase, in nanoseconds."""
    phases = {t["name"]: (t["start"], t["end"]) for t in things if t["what"] == "phase"}
    records = [(t["start"], t["end"]) for t in things if t["what"] == "record"]
    return {
        name: [end - start for start, end in records if start < until and end > since]
        for name, (since, until) in phases.items()
    }


def turn(things: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one turn."""
    makes = [t["ns"] / t["records"] for t in things if t["what"] == "make" and t["records"] == _STEP]
    slabs = [t["bytes"] for t in things if t["what"] == "slab"]
    found = latencies(things)
    records = things[0]["records"]
    phases = {t["name"]: t["end"] - t["start"] for t in things if t["what"] == "phase"}
    together = sum(phases[name] for name in _PHASES)
    meanwhile = {record for name in _PHASES for record in found[name]}
    return {
        "records": records,
        **{f"{name}_ns": phases[name] for name in _PHASES},
        **{f"worst_{name}_ns": max(found[name], default=0) for name in found},
        "median_alone_ns": median(found["alone"]),
        "meanwhile": len(meanwhile),
        "meanwhile_per_second": 1e9 * sum(len(found[name]) for name in _PHASES) / together,
        "alone_per_second": 1e9 * len(found["alone"]) / phases["alone"],
        "record_before_ns": makes[-2],
        "record_after_ns": makes[-1],
        "bytes_per_record": (slabs[1] - slabs[0]) / records,
    }


def _measure_ways(setup: guests.Setup) -> dict[str, dict[int, dict[str, Any]]]:
    result: dict[str, dict[int, dict[str, Any]]] = {way: {} for way in _WAYS}
    for flavour, ways in (("patched", ("snapshot", "staging")), ("stock", ("stock staging",))):
        lengths = [n for n in _LENGTHS if flavour != "stock" or n <= _LONGEST_ON_STOCK]
        arguments = [" ".join(_WAYS[way][1] for way in ways), *map(str, lengths)]
        found = guests.run(setup, "scale.sh", arguments, flavour=flavour, memory_mib=_MEMORY_MIB, timeout=3000)
        for number, things in enumerate(_turns(found)):
            one = turn(things)
            result[ways[number % len(ways)]][one["records"]] = one
    return result


def _memory(setup: guests.Setup) -> dict[str, list[dict[str, Any]]]:
    """How many records are in memory under load, second by second."""
    return {
        how: guests.run(setup, "memory.sh", [how, str(_SECONDS), str(_LIMIT)], disk="64M").of("sample")
        for how in ("none", "daemon")
    }


def _around_an_opening(setup: guests.Setup) -> list[dict[str, Any]]:
    """Records and phases of one snapshot with a TPM."""
    tpm = TpmSpec(banks=_BANKS)
    found = guests.run(setup, "scale.sh", ["snapshot", str(_AROUND_OPEN)], tpm=tpm, timeout=1000)
    return [*found.of("phase"), *found.of("record")]


def measure(setup: guests.Setup) -> Outcome:
    ways = _measure_ways(setup)
    outcome = Outcome("scale", figures={"ways": ways, "memory": _memory(setup), "opening": _around_an_opening(setup)})
    outcome.tables = [_table(ways), _latency_table(ways)]
    outcome.targets = _targets(ways)
    _write(outcome, PICTURES)
    return outcome


def _write(outcome: Outcome, directory: Path) -> None:
    """Leave the data and the pictures in DIRECTORY."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "scale.json").write_text(json.dumps(outcome.as_json(), indent=1) + "\n")
    (directory / "scale.txt").write_text("\n\n".join(map(str, outcome.tables)) + "\n")
    pictures.draw(outcome.figures, directory)
    print(f"scale: data and pictures in {directory}")


def _table(ways: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Table:
    head = ["no TPM", "records", "open", "export", "remove", "a record before", "after", "bytes a record"]
    rows = []
    for way, (_, _, title) in _WAYS.items():
        for records, one in ways[way].items():
            phases = [f"{one[f'{name}_ns'] / 1e6:.2f} ms" for name in _PHASES]
            costs = [f"{one[f'record_{when}_ns'] / 1000:.0f} us" for when in ("before", "after")]
            rows.append([title, str(records), *phases, *costs, f"{one['bytes_per_record']:.0f}"])
    return Table("Cost over the length of the list", head, rows)


def _latency_table(ways: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Table:
    head = ["no TPM, one process measures", "records", "alone", "meanwhile", "worst alone", *(f"in {name}" for name in _PHASES)]
    rows = []
    for way, (_, _, title) in _WAYS.items():
        for records, one in ways[way].items():
            rates = [f"{one[f'{when}_per_second']:.0f}/s" for when in ("alone", "meanwhile")]
            worst = [f"{one[f'worst_{name}_ns'] / 1e6:.2f} ms" for name in ("alone", *_PHASES)]
            rows.append([title, str(records), *rates, *worst])
    return Table("Records measured meanwhile: rate and worst latency", head, rows)


def _targets(ways: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[Target]:
    snapshot = ways["snapshot"]
    shortest, longest = snapshot[min(snapshot)], snapshot[max(snapshot)]
    targets = []
    for name, key in (("open and export", None), ("a new record", "record_before_ns"), ("memory", "bytes_per_record")):
        costs = [one[key] if key else (one["open_ns"] + one["export_ns"]) / one["records"] for one in (shortest, longest)]
        ratio = costs[1] / costs[0]
        targets.append(
            Target(
                f"{name}, for a record: at {longest['records']} at most {_FLAT:g} times that at {shortest['records']}",
                f"{ratio:.2f} times",
                ratio <= _FLAT,
            )
        )
    longer = (longest["worst_remove_ns"] - longest["worst_alone_ns"]) / 1e6
    targets.append(
        Target(
            f"the worst record during the purge of {longest['records']} waits at most {_WAIT_MS:g} ms longer",
            f"{longer:.2f} ms",
            longer <= _WAIT_MS,
        )
    )
    return targets
