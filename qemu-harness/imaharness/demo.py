# SPDX-License-Identifier: GPL-2.0-or-later
"""'make demo': run the snapshot cycle in a guest and print each step.

guest/scenarios/demo.sh runs the cycle and reports when a step is done. All figures
are from this run. If a step has the wrong result, the demo exits with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import accel, evmctl, given, image, imalog, kernel, paths, shimlog, source
from .bases import BASES, DEFAULT_BASE, Base, find_base
from .errors import HarnessError
from .guest import GuestSpec, new_run_directory, run_guest
from .tpm import BANKS, INTERFACES, TpmSpec

PCR = 10
_SCENARIOS = paths.GUEST / "scenarios"


class DemoError(HarnessError):
    """A step had the wrong result."""


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _say(text: str = "") -> None:
    print(text, flush=True)


def _heading(text: str) -> None:
    _say(f"\n== {text}")


def _quote(text: str) -> None:
    for line in text.rstrip().splitlines():
        _say(f"   | {line}")


@dataclass(frozen=True)
class List:
    """The list in the kernel's memory at one moment."""

    records: int
    total: int
    bytes: int
    slab_kib: int
    purges: int

    @staticmethod
    def of(words: dict[str, str]) -> List:
        return List(*(int(words[k]) for k in ("records", "total", "bytes", "slab", "purges")))


class Narrator:
    """Reads the guest's output while it runs and prints each step."""

    def __init__(self, out: Path, tpm_log: Path, banks: Sequence[str]) -> None:
        self._out = out
        self._banks = banks
        self._tpm_log = tpm_log
        self._rest = b""
        self._before: List
        self._full: List
        self._snapshots = 0
        self._stored = 0
        self._total = 0
        self.done = False
        self.error: DemoError | None = None

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            words = line.decode(errors="replace").split()
            if self.error is None and words[:1] == ["step"]:
                step: Callable[[dict[str, str]], None] = getattr(self, f"_on_{words[1]}")
                try:
                    step(dict(word.split("=", 1) for word in words[2:]))
                except DemoError as e:  # raised after the guest has ended
                    self.error = e

    def _text(self, name: str) -> str:
        return (self._out / name).read_text(errors="replace")

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise DemoError(what)

    def _on_booted(self, words: dict[str, str]) -> None:
        _say(f"   Linux {words['release']} started the demo after {float(words['uptime']):.1f} s.")

    def _on_idle(self, words: dict[str, str]) -> None:
        now = self._before = List.of(words)
        _say(f"   Its measurement list has {now.records} records;"
             f" {now.slab_kib} KiB are in slabs that cannot be reclaimed.")  # fmt: skip
        _heading("Files are measured")

    def _on_measured(self, words: dict[str, str]) -> None:
        seconds = float(words["end"]) - float(words["begin"])
        _say(f"   {words['files']} files were created and read in {seconds:.0f} s, and removed again.")

    def _on_full(self, words: dict[str, str]) -> None:
        now = self._full = List.of(words)
        grown = now.slab_kib - self._before.slab_kib
        _say(f"   The kernel keeps their records: {now.records} are in memory, {_size(now.bytes)} as a file;")
        _say(f"   {now.slab_kib} KiB are in slabs, {grown} KiB more than before.")
        self._snapshots += 1
        _heading(f"Snapshot {self._snapshots}")
        _say("   $ ima-snapshot take")

    def _on_taken(self, words: dict[str, str]) -> None:
        name = f"take{words['number']}"
        _quote(self._text(f"{name}.stderr"))
        self._require(words["status"] == "0", f"ima-snapshot take: exit {words['status']}")
        segment: dict[str, Any] = json.loads(self._text(f"{name}.stdout"))["segment"]
        self._stored += segment["records"]
        seconds = float(words["end"]) - float(words["begin"])
        _say(f"   Segment {segment['segment']}: records {segment['first_record']} to {segment['last_record']},"
             f" {_size(segment['bytes'])}, attempt {segment['attempt']}, in {seconds:.2f} s.")  # fmt: skip
        _say(f"   SHA-256 {segment['sha256']}")
        commands = shimlog.between_marks(shimlog.parse(self._tpm_log.read_text().splitlines()), int(words["number"]))
        reads = shimlog.count(commands, shimlog.PCR_READ)
        extends = shimlog.count(commands, shimlog.PCR_EXTEND)
        _say(f"   The TPM executed {len(commands)} commands for it: {reads} reads of PCRs, {extends} extend,"
             f" {len(commands) - reads - extends} others.")  # fmt: skip

    def _on_purged(self, words: dict[str, str]) -> None:
        now = List.of(words)
        self._require(now.purges == self._snapshots, f"{now.purges} purges after {self._snapshots} snapshots")
        self._require(now.records == 1, f"{now.records} records are in the kernel after the purge")
        taken, back = self._full.slab_kib - self._before.slab_kib, self._full.slab_kib - now.slab_kib
        self._require(back > 0, f"the purge gave back {back} KiB")
        _say(f"   The kernel gave back {back} of these {taken} KiB: {now.slab_kib} KiB are in slabs.")
        _say(f"   One record is left, the snapshot_aggregate; {now.total} were measured since boot.")
        self._before = now
        _heading("More files are measured")

    def _on_stitched(self, words: dict[str, str]) -> None:
        log = (self._out / "cat.stdout").read_bytes()
        records = self._total = sum(1 for _ in imalog.records(log))
        live = sum(1 for _ in imalog.records((self._out / "live").read_bytes()))
        _heading("The whole log, stitched from the segments and the kernel's list")
        _say("   $ ima-snapshot cat >log")
        _say(f"   {records} records, {_size(len(log))}: {self._stored} in {self._snapshots} segments,"
             f" {live} in the kernel.")  # fmt: skip
        self._require(records == self._stored + live == int(words["total"]), f"{words['total']} were measured")
        _heading("Verified by ima-snapshot against the TPM, in the guest")
        _say("   $ ima-snapshot verify --tpm")

    def _on_verified(self, words: dict[str, str]) -> None:
        _quote(self._text("verify.stdout") + self._text("verify.stderr"))
        self._require(words["status"] == "0", f"ima-snapshot verify: exit {words['status']}")
        _heading("Verified by evmctl, which knows nothing of snapshots, on the host")
        for bank in self._banks:
            if bank in evmctl.BANKS:
                self._judge(bank)
            else:
                _say(f"   {bank}: evmctl does not replay this bank.")
        self.done = True

    def _judge(self, bank: str) -> None:
        pcrs = self._out / "pcrs" / bank
        verdict = evmctl.judge(self._out / "cat.stdout", bank, pcrs)
        _say(f"   $ evmctl -v ima_measurement --verify-bank={bank} --pcrs {bank},pcrs log")
        _quote("\n".join(line for line in verdict.text.splitlines() if "succeed" in line or "Matched" in line))
        message = "\n".join([f"evmctl, exit {verdict.status}, does not accept the log:", *verdict.text.splitlines()[-5:]])
        self._require(verdict.accepts(bank, PCR, self._total), message)
        alone = evmctl.judge(self._out / "live", bank, pcrs)
        self._require(alone.matched_at(bank, PCR) is None, "evmctl accepts the kernel's list without the segments")
        _say(f"   It replayed all {self._total} records."
             f" It refuses the kernel's list without the segments (exit {alone.status}).")  # fmt: skip


def _kernel(base: Base, ksrc: Path | None) -> Path:
    """The image of KERNEL=, or that of the base with the series; prints which."""
    if (file := given.image()) is not None:
        _say(f"   The image is {file} ({_size(file.stat().st_size)}), built elsewhere.")
        return file
    bzimage = kernel.build(base, kernel.find_flavour("patched"), ksrc)
    count = len(source.fitted(base, source.find(base, ksrc)))
    release = source.version(kernel.source_dir(base, series=True))
    _say(f"   {count} patches of kernel-patches/{base.name} on Linux {release}"
         f" make an image of {_size(bzimage.stat().st_size)}.")  # fmt: skip
    return bzimage


def tell(base: Base, ksrc: Path | None, accelerator: str, wanted: TpmSpec, first: int, more: int) -> None:
    """Run the demo; DemoError or HarnessError if it fails."""
    began = time.monotonic()
    _heading(f"A kernel with snapshots of the measurement list ({base.name})")
    bzimage = _kernel(base, ksrc)
    if shutil.which("evmctl") is None:
        raise DemoError("evmctl is not installed; run 'make deps'")
    if "ima-snapshot" not in image.project_programs():
        raise DemoError("ima-snapshot is not built; run 'make userspace'")
    _heading("A guest with a TPM")
    how = accel.choose(accelerator, bzimage)
    _say(f"   QEMU ({how}) boots it with a software TPM 2.0 on tpm-{wanted.interface},"
         f" banks {', '.join(wanted.banks)}.")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="ima-demo-") as scratch:
        log = Path(scratch) / "tpm-commands.log"
        tpm = replace(shimlog.shimmed_tpm(wanted.banks, log), interface=wanted.interface)
        out = new_run_directory("demo-out")
        narrator = Narrator(out, log, wanted.banks)
        guest = GuestSpec(
            command=["sh", "/scenarios/demo.sh", str(first), str(more)],
            base=base.name,
            kernel=bzimage,
            tpm=tpm,
            accel=accelerator,
            timeout=900.0,
            copies=[image.Copy(_SCENARIOS, "/scenarios")],
            policy=_SCENARIOS / "ramfs.policy",
            out=out,
            disk="128M",
            name="demo",
        )
        result = run_guest(guest, stdout=narrator.feed)
    if narrator.error is not None:
        raise narrator.error
    if not result.ok or not narrator.done:
        said = result.stderr.decode(errors="replace").strip()
        raise DemoError(f"the guest: {result.explain()}; exit {result.status}\n{said}")
    _say(f"\nThat took {time.monotonic() - began:.0f} s. Segments, logs and verdicts: {out}")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    env = os.environ
    parser = argparse.ArgumentParser(prog="demo", description="Run the snapshot cycle in a guest and print each step.")
    parser.add_argument("--base", default=env.get("BASE") or DEFAULT_BASE, help=f"one of {', '.join(BASES)}")
    parser.add_argument("--ksrc", default=env.get("KSRC") or None, type=Path, metavar="TREE")
    parser.add_argument("--accel", choices=accel.CHOICES, default=env.get("ACCEL") or "auto")
    parser.add_argument("--tpm-if", choices=INTERFACES, default=env.get("TPM_IF") or "tis")
    parser.add_argument("--banks", default=env.get("BANKS") or "sha256", metavar="ALG,...",
                        help=f"active PCR banks, one or more of {', '.join(BANKS)}")  # fmt: skip
    parser.add_argument("--files", type=_positive, default=20000, help="how many files are measured before the first snapshot")
    parser.add_argument("--more", type=_positive, default=5000, help="how many files are measured before the second")
    args = parser.parse_args(argv)
    try:
        wanted = TpmSpec(env.get("TPM") or "2.0", args.tpm_if, args.banks.split(","))
        wanted.check()
        if wanted.version != "2.0":
            raise DemoError(f"the demo needs a TPM 2.0, not {wanted.version}")
        tell(find_base(args.base), args.ksrc, args.accel, wanted, args.files, args.more)
    except HarnessError as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0
