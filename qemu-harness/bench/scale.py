# SPDX-License-Identifier: GPL-2.0-or-later
"""What lists of 1,000 to 1,000,000 records cost: to open, to export, to remove, and to measure meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from imaharness import paths
from imaharness.tpm import TpmSpec

from . import guests, pictures
from .tables import Outcome, Table, Target

# Length: how often. Short lists give noisier figures.
_LENGTHS = {1000: 9, 10_000: 5, 100_000: 3, 1_000_000: 1}
# Long enough that the records of the process that measures meanwhile are few.
_BUSY_LENGTHS = (100_000, 1_000_000)
# Stock walks the list anew for each read(): ten times the length takes a hundred times as long.
_FLAVOURS = {"patched": 1_000_000, "stock": 100_000}
_STEP = 1000  # records whose cost is measured at once, as scale.sh does
_FLAT = 1.2
_WAIT_MS = 1.0
_MEMORY_MIB = 2048
_TIMEOUT = 3000.0
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


def cost(things: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of a turn without other work, in nanoseconds and bytes."""
    records = things[0]["records"]
    makes = [t["ns"] / t["records"] for t in things if t["what"] == "make" and t["records"] == _STEP]
    slabs = [t["bytes"] for t in things if t["what"] == "slab"]
    (read,) = (t for t in things if t["what"] == "read")
    requests = [t["ns"] for t in things if t["what"] == "request"] or [0, read["purge_ns"]]
    return {
        "open": requests[0] + read["open_ns"],
        "export": read["ns"] - read["open_ns"],
        "remove": requests[1],
        "read_per_record": (requests[0] + read["ns"]) / read["records"],
        "record_before": makes[-2],
        "record_after": makes[-1],
        "bytes_per_record": (slabs[1] - slabs[0]) / records,
    }


def latency(things: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of a turn while a file is measured: rates a second, worst latencies in nanoseconds."""
    found = latencies(things)
    lengths = {t["name"]: t["end"] - t["start"] for t in things if t["what"] == "phase"}
    return {
        "alone_per_second": 1e9 * len(found["alone"]) / lengths["alone"],
        "meanwhile_per_second": 1e9 * sum(len(found[n]) for n in _PHASES) / sum(lengths[n] for n in _PHASES),
        "worst": {name: max(some, default=0) for name, some in found.items()},
    }


def _run(setup: guests.Setup, flavour: str, what: str, lengths: Sequence[int]) -> Iterator[tuple[str, int, list[dict[str, Any]]]]:
    """Way, length and objects of each turn on the kernel of FLAVOUR."""
    ways = [way for way, (of, _, _) in _WAYS.items() if of == flavour]
    arguments = [" ".join(_WAYS[way][1] for way in ways), what, *map(str, lengths)]
    found = guests.run(setup, "scale.sh", arguments, flavour=flavour, memory_mib=_MEMORY_MIB, timeout=_TIMEOUT)
    for number, things in enumerate(_turns(found)):
        yield ways[number % len(ways)], things[0]["records"], things


def _costs(setup: guests.Setup) -> dict[str, dict[int, dict[str, float]]]:
    """The medians of each way and length."""
    all_of: dict[str, dict[int, list[dict[str, Any]]]] = {way: {} for way in _WAYS}
    for flavour, longest in _FLAVOURS.items():
        lengths = [n for n, times in _LENGTHS.items() if n <= longest for _ in range(times)]
        for way, records, things in _run(setup, flavour, "cost", lengths):
            all_of[way].setdefault(records, []).append(cost(things))
    return {
        way: {n: {key: median(one[key] for one in some) for key in some[0]} for n, some in lengths.items()}
        for way, lengths in all_of.items()
    }


def _busy(setup: guests.Setup) -> dict[str, dict[int, dict[str, Any]]]:
    result: dict[str, dict[int, dict[str, Any]]] = {way: {} for way in _WAYS}
    for flavour, longest in _FLAVOURS.items():
        for way, records, things in _run(setup, flavour, "latency", [n for n in _BUSY_LENGTHS if n <= longest]):
            result[way][records] = latency(things)
    return result


def _memory(setup: guests.Setup) -> dict[str, list[dict[str, Any]]]:
    """How many records are in memory under load, second by second."""
    return {
        how: guests.run(setup, "memory.sh", [how, str(_SECONDS), str(_LIMIT)], disk="64M").of("sample")
        for how in ("none", "daemon")
    }


def _around_an_opening(setup: guests.Setup) -> list[dict[str, Any]]:
    """Records and phases of one snapshot with a TPM."""
    arguments = ["snapshot", "latency", str(_AROUND_OPEN)]
    found = guests.run(setup, "scale.sh", arguments, tpm=TpmSpec(banks=_BANKS), timeout=_TIMEOUT)
    return [*found.of("phase"), *found.of("record")]


def measure(setup: guests.Setup) -> Outcome:
    costs, busy = _costs(setup), _busy(setup)
    outcome = Outcome("scale")
    outcome.figures = {"costs": costs, "busy": busy, "memory": _memory(setup), "opening": _around_an_opening(setup)}
    outcome.tables = [_table(costs), _latency_table(busy)]
    outcome.targets = _targets(costs["snapshot"], busy["snapshot"])
    _write(outcome, PICTURES)
    return outcome


def _write(outcome: Outcome, directory: Path) -> None:
    """Leave the data and the pictures in DIRECTORY."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "scale.json").write_text(json.dumps(outcome.as_json(), indent=1) + "\n")
    (directory / "scale.txt").write_text("\n\n".join(map(str, outcome.tables)) + "\n")
    pictures.draw(outcome.figures, directory)
    print(f"scale: data and pictures in {directory}")


def _table(costs: Mapping[str, Mapping[int, Mapping[str, float]]]) -> Table:
    head = ["no TPM", "records", "open", "export", "remove", "a record before", "after", "bytes a record"]
    rows = []
    for way, (_, _, title) in _WAYS.items():
        for records, one in costs[way].items():
            phases = [f"{one[name] / 1e6:.2f} ms" for name in _PHASES]
            new = [f"{one[f'record_{when}'] / 1000:.0f} us" for when in ("before", "after")]
            rows.append([title, str(records), *phases, *new, f"{one['bytes_per_record']:.0f}"])
    return Table(f"Cost over the length of the list (median of {', '.join(map(str, _LENGTHS.values()))})", head, rows)


def _latency_table(busy: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Table:
    head = ["no TPM, one process measures", "records", "alone", "meanwhile", "worst alone", *(f"in {name}" for name in _PHASES)]
    rows = []
    for way, (_, _, title) in _WAYS.items():
        for records, one in busy[way].items():
            rates = [f"{one[f'{when}_per_second']:.0f}/s" for when in ("alone", "meanwhile")]
            worst = [f"{one['worst'][name] / 1e6:.2f} ms" for name in ("alone", *_PHASES)]
            rows.append([title, str(records), *rates, *worst])
    return Table("Records measured meanwhile: rate and worst latency", head, rows)


def _targets(costs: Mapping[int, Mapping[str, float]], busy: Mapping[int, Mapping[str, Any]]) -> list[Target]:
    shortest, longest = min(costs), max(costs)
    names = {
        "to open and export a record": "read_per_record",
        "to measure a record": "record_before",
        "memory of a record": "bytes_per_record",
    }
    targets = []
    for name, key in names.items():
        ratio = costs[longest][key] / costs[shortest][key]
        promise = f"{name}: at {longest} at most {_FLAT:g} times that at {shortest}"
        targets.append(Target(promise, f"{ratio:.2f} times", ratio <= _FLAT))
    worst = busy[longest]["worst"]
    longer = (worst["remove"] - worst["alone"]) / 1e6
    promise = f"the worst record during the purge of {longest} waits at most {_WAIT_MS:g} ms longer than before"
    targets.append(Target(promise, f"{longer:.2f} ms", longer <= _WAIT_MS))
    return targets
