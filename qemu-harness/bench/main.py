# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imaharness import accel, userspace
from imaharness.bases import BASES, DEFAULT_BASE
from imaharness.errors import HarnessError
from imaharness.guest import new_run_directory

from . import evidence, host, latency, reading, scale, slab, tpm, view
from .guests import Setup
from .tables import Outcome, closing_table


@dataclass(frozen=True)
class Part:
    """One part of the benchmark, in guests of these flavours, or on the host without flavours.

    BUILDS make what it measures besides kernels.
    """

    measure: Callable[[Setup], Outcome]
    flavours: Sequence[str] = ()
    builds: Sequence[Callable[[], object]] = ()


PARTS = {
    "reading": Part(reading.measure, ("patched", "stock")),
    "slab": Part(slab.measure, ("patched", "stock")),
    "tpm": Part(tpm.measure, ("patched",)),
    "latency": Part(latency.measure, tuple(latency.CONFIGURATIONS)),
    "scale": Part(scale.measure, ("patched", "stock"), (userspace.build,)),  # its guest runs the daemon
    "host": Part(host.measure, builds=(host.build,)),
    "view": Part(view.measure, builds=(host.build,)),
    "evidence": Part(evidence.measure, builds=(host.build,)),
}

# They take longer than all others together.
ON_DEMAND = ("scale",)

_EPILOG = """
A missed target is printed as MISSED and does not change the exit status: figures
of an emulated machine that other programs use, too, are not a test. The status is 1
if something could not be measured.
"""


def parser() -> argparse.ArgumentParser:
    env = os.environ
    p = argparse.ArgumentParser(
        prog="bench", description="Measure the size and the speed of the snapshot.", epilog=_EPILOG
    )
    p.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all but {', '.join(ON_DEMAND)}")
    p.add_argument("--base", default=env.get("BASE") or DEFAULT_BASE, help=f"one of {', '.join(BASES)}")
    p.add_argument("--ksrc", default=env.get("KSRC") or None, type=Path)
    p.add_argument("--accel", default=env.get("ACCEL") or "auto", choices=accel.CHOICES)
    p.add_argument("--kernel", type=Path, metavar="BZIMAGE", help="use this kernel with the series; build none")
    p.add_argument("--stock-kernel", type=Path, metavar="BZIMAGE", help="use this kernel without the series; build none")
    return p


def _build(parts: Sequence[str], setup: Setup) -> None:
    """Build everything before the first measurement: later builds would have real-time priority."""
    for flavour in sorted({flavour for name in parts for flavour in PARTS[name].flavours}):
        setup.image(flavour)
    for build in {build for name in parts for build in PARTS[name].builds}:
        build()


def _go_first() -> None:
    """Take real-time priority, which QEMU and swtpm inherit.

    A guest that waits for a CPU measures the host's other work.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        print("bench: real-time scheduling is not permitted, so other work of this machine affects the figures")


def _measure(name: str, setup: Setup) -> Outcome:
    began = time.monotonic()
    outcome = PARTS[name].measure(setup)
    outcome.seconds = time.monotonic() - began
    return outcome


def main(argv: Sequence[str] | None = None) -> int:
    p = parser()
    args = p.parse_args(argv)
    if unknown := [part for part in args.parts if part not in PARTS]:
        p.error(f"unknown part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    images = {"patched": args.kernel, "stock": args.stock_kernel}
    setup = Setup(args.base, args.ksrc, args.accel, {k: v for k, v in images.items() if v is not None})
    parts: list[str] = args.parts or [name for name in PARTS if name not in ON_DEMAND]
    outcomes: list[Outcome] = []
    failed = False
    try:
        _build(parts, setup)
        results = new_run_directory("bench")
        _go_first()
        for name in parts:
            print(f"== {name}", flush=True)
            try:
                outcome = _measure(name, setup)
            except (HarnessError, ValueError) as e:
                print(f"bench: {name}: {e}", file=sys.stderr)
                failed = True
                continue
            outcomes.append(outcome)
            for table in outcome.tables:
                print(f"{table}\n", flush=True)
            _write(outcomes, results)
    except HarnessError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if outcomes:
        print(closing_table(outcomes))
        print(f"\nresults: {results / 'bench.json'} ({sum(o.seconds for o in outcomes):.0f} s)")
    return 1 if failed else 0


def _write(outcomes: Sequence[Outcome], directory: Path) -> None:
    results = [outcome.as_json() for outcome in outcomes]
    (directory / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
