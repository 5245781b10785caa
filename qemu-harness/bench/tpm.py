# SPDX-License-Identifier: GPL-2.0-or-later
"""Which commands one snapshot sends to the TPM, and which of them while it holds the mutex."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from imaharness import imalog, paths, shimlog
from imaharness.shimlog import PCR_EXTEND, PCR_READ

from . import guests
from .tables import Outcome, Table, Target

BANKS = (("sha256",), ("sha1", "sha256"), ("sha1", "sha256", "sha384"))
_TIMES = 5
_OPENINGS = 20
_LOAD_MARK = 1000
_MOST_READS = 10


def aggregates(listed: Path, algorithm: str) -> set[bytes]:
    """The digests that snapshot_aggregate records extend."""
    return {imalog.template_digest(r, algorithm) for r in imalog.records(listed.read_bytes()) if r.is_aggregate}


def _quiet(commands: list[shimlog.Command]) -> list[dict[str, int]]:
    """The commands of each snapshot without load."""
    found = []
    for mark in range(1, _TIMES + 1):
        sent = shimlog.between_marks(commands, mark)
        reads, extends = shimlog.count(sent, PCR_READ), shimlog.count(sent, PCR_EXTEND)
        ns = sent[-1].end - sent[0].start if sent else 0
        found.append({"reads": reads, "extends": extends, "others": len(sent) - reads - extends, "ns": ns})
    return found


def _loaded(commands: list[shimlog.Command], listed: Path) -> dict[str, Any]:
    """The commands that were sent while two processes measured files."""
    load = shimlog.between_marks(commands, _LOAD_MARK)
    algorithms = {c.algorithm for c in load if c.code == PCR_EXTEND}
    if len(algorithms) != 1:
        raise ValueError(f"extends of {len(algorithms)} algorithms")
    series = list(shimlog.snapshots(load, aggregates(listed, algorithms.pop())))
    if len(series) != _OPENINGS:
        raise ValueError(f"{len(series)} aggregates were extended by {_OPENINGS} openings")
    return {
        "openings": len(series),
        "early_reads": max(s.early_reads for s in series),
        "ima_reads": max(s.ima_reads for s in series),
        "late_others": sum(s.foreign_late for s in series),
        "early_others": sum(s.foreign_early for s in series),
        "disturbed": sum(s.foreign_early > 0 for s in series),
        "hold_ns": median(s.hold for s in series),
    }


def measure(setup: guests.Setup) -> Outcome:
    result: dict[str, dict[str, Any]] = {}
    for banks in BANKS:
        log = paths.BUILD / "bench" / f"tpm-{len(banks)}.log"
        tpm = shimlog.shimmed_tpm(banks, log)
        found = guests.run(setup, "tpm.sh", [str(_TIMES), str(_OPENINGS)], tpm=tpm)
        commands = shimlog.parse(log.read_text().splitlines())
        log.rename(found.out / "commands.log")
        result[",".join(banks)] = {
            "quiet": _quiet(commands),
            "open_ns": median(o["open_ns"] for o in found.of("read")),
            "loaded": _loaded(commands, found.out / "list"),
        }
    outcome = Outcome("tpm", figures=result)
    outcome.tables = [_quiet_table(result), _loaded_table(result)]
    outcome.targets = _targets(result[",".join(BANKS[-1])])
    return outcome


def _most(quiet: list[dict[str, int]], key: str) -> int:
    return max(one[key] for one in quiet)


def _quiet_table(result: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for banks, one in result.items():
        counts = [str(_most(one["quiet"], key)) for key in ("reads", "extends", "others")]
        rows.append([banks, *counts, f"{one['open_ns'] / 1e6:.1f} ms"])
    head = ["banks", "PCR_Read", "PCR_Extend", "others", "open()"]
    return Table(f"TPM commands of one snapshot (maximum of {_TIMES}; open(): median)", head, rows)


def _loaded_table(result: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for banks, one in result.items():
        loaded = one["loaded"]
        rows.append(
            [
                banks,
                str(loaded["early_reads"]),
                f"{loaded['early_others']} in {loaded['disturbed']} of {loaded['openings']}",
                str(loaded["ima_reads"]),
                str(loaded["late_others"]),
            ]
        )
    head = ["banks", "early reads", "others' extends between them", "reads of IMA's PCR", "others before the extend"]
    return Table(f"The same under load ({_OPENINGS} snapshots, two processes measuring)", head, rows)


def _targets(one: dict[str, Any]) -> list[Target]:
    """The targets for the TPM with the most banks."""
    quiet, loaded = one["quiet"], one["loaded"]
    reads, extends = _most(quiet, "reads"), _most(quiet, "extends")
    alone = loaded["ima_reads"] == 1 and loaded["late_others"] == 0
    return [
        Target(
            f"three banks: at most {_MOST_READS} reads and 1 extend",
            f"{reads} reads, {extends} extend, {_most(quiet, 'others')} others",
            reads <= _MOST_READS and extends == 1 and _most(quiet, "others") == 0,
        ),
        Target(
            "of which 1 read and 1 extend under the mutex",
            f"{loaded['ima_reads']} read, {loaded['late_others']} others before the extend;"
            f" others' extends between the early reads: in {loaded['disturbed']} of {loaded['openings']}",
            alone and loaded["disturbed"] > 0,
        ),
    ]
