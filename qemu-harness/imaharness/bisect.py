# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the first patch of the series that makes a guest fail.

Test the kernel without the series first. Then apply each patch in order, build
and boot the kernel, and run a command in the guest. Report the first patch that
does not apply or build, whose kernel does not boot, or with which the command
fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import arch, image, paths, source, stepped
from .bases import BASES, DEFAULT_BASE, Base, find_base
from .errors import EXIT_HARNESS, HarnessError, UsageError
from .guest import GuestSpec, Outcome, run_guest
from .stepped import SteppedTree

_QUICK = image.Copy(paths.GUEST / "scenarios/quick.sh", "/scenarios/quick.sh")
_EPILOG = """
COMMAND runs in the guest, as with 'vm run'. The default command reads and counts
the lists and, if there is a snapshot file, takes a snapshot.

exit status: 0 if all are good, 1 if one fails, 125 if the harness fails.
"""


@dataclass(frozen=True)
class Bad:
    """A state that failed. Without a patch, it is the kernel without the series."""

    patch: Path | None
    reason: str

    def __str__(self) -> str:
        if self.patch is None:
            return f"the kernel without the series fails: {self.reason}"
        return f"the first bad patch is {self.patch.name}: {self.reason}"


def _number(patch: Path) -> int:
    return int(patch.name[:4])


def _boot_complaint(tree: SteppedTree, command: Sequence[str]) -> str:
    """Run the command in a guest of the current state. Return how it failed, or ''."""
    spec = GuestSpec(
        command=command or ["sh", _QUICK.dest],
        kernel=tree.image,
        accel=os.environ.get("ACCEL") or "auto",
        copies=[] if command else [_QUICK],
        name="bisect",
    )
    result = run_guest(spec)
    if result.ok:
        return ""
    if result.outcome is Outcome.EXITED:
        said = (result.stdout + result.stderr).decode(errors="replace").strip()
        return f"the command exits with {result.status}\n{said}".rstrip()
    return f"the guest fails: {result.explain()}"


def _complaint(tree: SteppedTree, patch: Path | None, command: Sequence[str]) -> str:
    try:
        tree.build(arch.current().image.name, tree.is_last(patch))
    except HarnessError as e:
        return f"it does not build: {e}"
    return _boot_complaint(tree, command)


def first_bad(tree: SteppedTree, command: Sequence[str], first: int) -> Bad | None:
    """Test each state in order. Those before patch number FIRST are assumed to be good (0: test all)."""
    states: list[Path | None] = [None, *tree.series]
    for patch in states:
        if patch is not None:
            try:
                tree.apply(patch)
            except HarnessError as e:
                return Bad(patch, str(e))
        if (0 if patch is None else _number(patch)) < first:
            continue
        began = time.monotonic()
        reason = _complaint(tree, patch, command)
        name = "without the series" if patch is None else patch.name
        print(f"  {'bad' if reason else 'good'}: {name} ({time.monotonic() - began:.0f} s)", flush=True)
        if reason:
            return Bad(patch, reason)
    return None


def run(base: Base, ksrc: Path | None, command: Sequence[str], first: int) -> int:
    """Print what first_bad() finds. Return the exit status."""
    if not source.patches(base):
        raise HarnessError(f"no patches in {paths.patch_dir(base.name)}")
    with stepped.stepped(base, ksrc) as tree:
        if first > max(map(_number, tree.series), default=0):
            raise UsageError(f"--from {first}: the series of {base.name} has {len(tree.series)} patches")
        bad = first_bad(tree, command, first)
    print(f"bisect-series: {bad or 'all are good'}")
    return 0 if bad is None else 1


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    p = argparse.ArgumentParser(prog="bisect-series", description=__doc__, epilog=_EPILOG, formatter_class=raw)
    p.add_argument("--base", default=os.environ.get("BASE") or DEFAULT_BASE, help=f"one of {', '.join(BASES)}")
    p.add_argument("--ksrc", default=os.environ.get("KSRC") or None, type=Path, metavar="TREE",
                   help="a kernel git tree of your own; the series is fitted to its HEAD")  # fmt: skip
    p.add_argument("--from", dest="first", default=0, type=int, metavar="N",
                   help="start with patch N; those before it are applied and assumed to be good")  # fmt: skip
    p.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    try:
        return run(find_base(args.base), args.ksrc, command, args.first)
    except HarnessError as e:
        print(f"bisect-series: {e}", file=sys.stderr)
        return EXIT_HARNESS
