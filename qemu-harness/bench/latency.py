# SPDX-License-Identifier: GPL-2.0-or-later
"""How much longer a record takes while a snapshot is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from imaharness import paths, shimlog
from imaharness.shimlog import PCR_READ, Command

from . import figures, guests
from .figures import Span
from .tables import Outcome, Table, Target
from .tpm import aggregates

_BANKS = ("sha1", "sha256", "sha384")
# Each opening and the pause after it, which is at least as long, are a round. Its
# worst record is nearly always the first one that waited for the snapshot's mutex.
# The median over the rounds is not affected by those in which the host was busy.
_OPENINGS = 60
_MARK = 1000
_IMA_PCR = 10
_HANG_MS = 10_000
_HANG_PAUSE_MS = 2_000
# What the driver waits for a read, and an extend of the record itself
_HANG_LIMIT_MS = 750 + 50

# Flavours of the kernel
CONFIGURATIONS = {
    "patched": "our configuration",
    "distro": "Debian's options",
    "hmac": "the same, TCG_TPM2_HMAC",
}


@dataclass(frozen=True)
class Use:
    """How fast the TPM is and who else uses it."""

    title: str
    delay_ms: int
    gap_ms: int  # shortest pause between openings
    loop: bool


_USES = (
    Use("swtpm without delay", 0, 40, loop=False),
    Use("swtpm without delay, another program reads random numbers from it in a loop", 0, 40, loop=True),
    Use("each command 10 ms slower", 10, 200, loop=False),
    Use("each command 10 ms slower, another program reads random numbers in a loop", 10, 200, loop=True),
)


def _span(o: dict[str, Any]) -> Span:
    return Span(o["start"], o["end"])


def _openings(found: guests.Found) -> list[dict[str, Any]]:
    openings = found.of("opening")
    if failed := [o for o in openings if o["errno"]]:
        raise ValueError(f"{len(failed)} of {len(openings)} openings failed, the first with errno {failed[0]['errno']}")
    return openings


def _gap(commands: Sequence[Command]) -> float:
    """How long the driver needs from the answer to one read of the guest's program to the next."""
    pairs = zip(commands, commands[1:])
    return median(b.start - a.end for a, b in pairs if a.code == b.code == PCR_READ and a.pcrs == b.pcrs == {_IMA_PCR})


def _one(setup: guests.Setup, flavour: str, use: Use) -> dict[str, Any]:
    log = paths.BUILD / "bench" / "latency.log"
    tpm = shimlog.shimmed_tpm(_BANKS, log, use.delay_ms)
    arguments = [",".join(_BANKS), str(_OPENINGS), str(use.gap_ms), "loop" if use.loop else "alone"]
    found = guests.run(setup, "latency.sh", arguments, flavour=flavour, tpm=tpm)
    commands = log.rename(found.out / "commands.log")
    records = [_span(o) for o in found.of("record")]
    openings = [_span(o) for o in _openings(found)]
    latency = figures.latency(figures.rounds(records, openings, 1))
    logged = shimlog.parse(commands.read_text().splitlines())
    sent = shimlog.between_marks(logged, _MARK)
    paused = list(shimlog.snapshots(sent, aggregates(found.out / "list", _BANKS[0])))
    if len(paused) != _OPENINGS:
        raise ValueError(f"{len(paused)} aggregates were extended by {_OPENINGS} openings")
    alone = all(s.ima_reads == 1 and s.foreign_late == 0 for s in paused)
    return {
        **asdict(latency),
        "added": latency.added,
        "read": median(o["ns"] for o in found.of("command", command="read")),
        "extend": median(o["ns"] for o in found.of("command", command="extend")),
        # From the read under the mutex to the end of the extend, and how much longer the driver needs
        # for the extend than after a read of the guest's program. That is the time for the hashes.
        "hold": median(s.hold for s in paused),
        "between": median(s.hold - s.busy for s in paused) - _gap(logged) if alone else None,
        "others": median(s.foreign_late for s in paused),
        "most_others": max(s.foreign_late for s in paused),
        "opening": median(o.length for o in openings),
        "records": len(records),
    }


def _hang(setup: guests.Setup, flavour: str) -> dict[str, Any]:
    """One opening whose read under the mutex hangs."""
    log = paths.BUILD / "bench" / "latency.log"
    tpm = shimlog.shimmed_tpm(_BANKS, log, hang_ms=_HANG_MS)
    found = guests.run(setup, "latency.sh", [",".join(_BANKS), "1", str(_HANG_PAUSE_MS), "hang"], flavour=flavour, tpm=tpm)
    log.rename(found.out / "commands.log")
    (opening,) = found.of("opening")
    records = [_span(o) for o in found.of("record")]
    return {
        "worst": max(r.length for r in records),
        "opening": _span(opening).length,
        "errno": opening["errno"],
        "records": len(records),
    }


def measure(setup: guests.Setup) -> Outcome:
    outcome = Outcome("latency", figures={"banks": _BANKS, "uses": [], "hang_ms": _HANG_MS})
    for use in _USES:
        result = {flavour: _one(setup, flavour, use) for flavour in CONFIGURATIONS}
        outcome.figures["uses"].append({**asdict(use), "by_flavour": result})
        outcome.tables.append(_table(use, result))
        outcome.targets += _targets(use, result)
    hangs = {flavour: _hang(setup, flavour) for flavour in CONFIGURATIONS}
    outcome.figures["hang"] = hangs
    outcome.tables.append(_hang_table(hangs))
    outcome.targets.append(_hang_target(hangs))
    return outcome


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.2f}"


def _table(use: Use, result: dict[str, dict[str, Any]]) -> Table:
    head = ["ms", "ordinary", "worst in a pause", "worst in an opening", "added", "read and extend alone", "between",
            "read to extend", "other commands", "open()"]  # fmt: skip
    rows = []
    for flavour, one in result.items():
        times = [one[k] for k in ("ordinary", "worst_ordinary", "worst_during", "added")]
        between = "?" if one["between"] is None else _ms(one["between"])
        others = f"{one['others']:g}, at most {one['most_others']}"
        rows.append([CONFIGURATIONS[flavour], *map(_ms, times), _ms(one["read"] + one["extend"]), between,
                     _ms(one["hold"]), others, _ms(one["opening"])])  # fmt: skip
    title = f"Latency of a record, three banks: {use.title} (worst: of one pause or opening, median of {_OPENINGS})"
    return Table(title, head, rows)


def _targets(use: Use, result: dict[str, dict[str, Any]]) -> list[Target]:
    """Only if no other commands come between the two. Then they and what is between them are all there is."""
    targets = []
    for flavour, one in result.items():
        if one["between"] is None:
            continue
        limit = one["read"] + one["extend"] + one["between"]
        targets.append(
            Target(
                f"{use.title}, {CONFIGURATIONS[flavour]}: a record waits for one read, one extend and the hashes between",
                f"{_ms(one['added'])} ms of {_ms(limit)} ms (in a pause: {_ms(one['worst_ordinary'] - one['ordinary'])} ms)",
                one["added"] <= limit,
            )
        )
    return targets


def _hang_table(hangs: dict[str, dict[str, Any]]) -> Table:
    head = ["s", "worst record", "open()", "its errno"]
    rows = [
        [CONFIGURATIONS[flavour], f"{one['worst'] / 1e9:.2f}", f"{one['opening'] / 1e9:.2f}", str(one["errno"])]
        for flavour, one in hangs.items()
    ]
    return Table(f"Latency of a record, three banks: the TPM2_PCR_Read under the mutex hangs for {_HANG_MS / 1000:g} s", head, rows)


def _hang_target(hangs: dict[str, dict[str, Any]]) -> Target:
    worst = max(one["worst"] for one in hangs.values())
    return Target(
        f"a read that hangs for {_HANG_MS / 1000:g} s: no record waits for more than {_HANG_LIMIT_MS} ms",
        f"{_ms(worst)} ms",
        worst <= _HANG_LIMIT_MS * 1e6,
    )
