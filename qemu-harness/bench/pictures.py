# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the figures of 'scale' with matplotlib, as SVG."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Text stays text, and the same data give the same bytes.
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "ima", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
_METADATA = {"Date": None}
_WAYS = {"snapshot": "snapshot", "staging": "staging, on the series", "stock staging": "staging, on stock"}


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    # The bench runs without matplotlib; only the pictures need it. It has no types.
    importlib.import_module("matplotlib").use("svg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    pyplot.rcParams.update(_STYLE)
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2), layout="constrained")
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, metadata=_METADATA)


def draw(figures: Mapping[str, Any], directory: Path) -> None:
    """Write cost.svg, latency.svg and memory.svg into DIRECTORY."""
    _draw_cost(figures["costs"], directory / "cost.svg")
    _draw_latency(figures["opening"], directory / "latency.svg")
    _draw_memory(figures["memory"], directory / "memory.svg")


def _draw_cost(ways: Mapping[str, Mapping[int, Mapping[str, float]]], file: Path) -> None:
    figure, axes = _axes("Open and export, for each record (no TPM)", "records in the list", "us for a record")
    for way, title in _WAYS.items():
        lengths = sorted(ways[way])
        costs = [ways[way][n]["read_per_record"] / 1000 for n in lengths]
        axes.loglog(lengths, costs, marker="o", label=title)
    axes.legend()
    _save(figure, file)


def _draw_latency(things: Sequence[Mapping[str, Any]], file: Path) -> None:
    figure, axes = _axes("A record that is measured while a snapshot is taken (TPM, two banks)", "ms", "ms until it is measured")
    phases = {t["name"]: (t["start"], t["end"]) for t in things if t["what"] == "phase"}
    begin = phases["open"][0]
    span = max(phases["remove"][1] - begin, 1)
    for colour, name in zip(("tab:orange", "tab:green", "tab:red"), ("open", "export", "remove"), strict=True):
        since, until = phases[name]
        axes.axvspan((since - begin) / 1e6, (until - begin) / 1e6, color=colour, alpha=0.25, label=name)
    near = [t for t in things if t["what"] == "record" and begin - span < t["start"] < phases["remove"][1]]
    axes.plot([(t["start"] - begin) / 1e6 for t in near], [(t["end"] - t["start"]) / 1e6 for t in near], ".", markersize=3)
    axes.set_ylim(bottom=0)
    axes.legend()
    _save(figure, file)


def _draw_memory(memory: Mapping[str, Sequence[Mapping[str, Any]]], file: Path) -> None:
    figure, axes = _axes("Kernel memory under constant load", "s", "KiB of slab, more than at the beginning")
    for how, title in (("none", "without the daemon"), ("daemon", "with the daemon")):
        samples = memory[how]
        first = samples[0]
        axes.plot(
            [s["seconds"] - first["seconds"] for s in samples], [s["slab_kib"] - first["slab_kib"] for s in samples], label=title
        )
    axes.legend()
    _save(figure, file)
