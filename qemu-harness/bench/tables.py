# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of a part of the benchmark: tables for people, figures for programs, targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows under a title; the first column is text, the others are figures."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]

        def text(line: Sequence[str]) -> str:
            first = line[0].ljust(widths[0])
            return "  ".join([first, *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()

        rule = "  ".join("-" * w for w in widths)
        return "\n".join([self.title, text(self.head), rule, *map(text, self.rows)])


@dataclass(frozen=True)
class Target:
    """What was promised and what was measured."""

    promise: str
    measured: str
    met: bool

    @property
    def verdict(self) -> str:
        return "MET" if self.met else "MISSED"


@dataclass
class Outcome:
    """The results of one part."""

    part: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def as_json(self) -> Mapping[str, Any]:
        return {
            "part": self.part,
            "seconds": round(self.seconds, 1),
            "figures": self.figures,
            "targets": [
                {"promise": t.promise, "measured": t.measured, "met": t.met} for t in self.targets
            ],
        }


def closing_table(outcomes: Sequence[Outcome]) -> Table:
    """Every target of every part and whether it was met."""
    rows = [[f"{o.part}: {t.promise}", t.measured, t.verdict] for o in outcomes for t in o.targets]
    return Table("Targets", ["target", "measured", ""], rows)
