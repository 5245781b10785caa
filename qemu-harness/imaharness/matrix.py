# SPDX-License-Identifier: GPL-2.0-or-later
"""'make matrix': snapshots over kexec, verified, for each pair of settings of TPM, IMA and kernel.

A cell is one guest. Each two values of two settings are together in at least one
cell, if they are possible together. The run writes qemu-harness/results/matrix.json,
.md and .html.
"""

from __future__ import annotations

import argparse
import html
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import arch, evmctl, image, imalog, kernel, paths, process, userspace
from .bases import find_base
from .errors import HarnessError
from .guest import GuestSpec, run_guest
from .report import Status, Suite
from .tpm import TpmSpec

Cell = Mapping[str, str]

RESULTS = paths.HARNESS / "results" / "matrix.json"
SETTINGS: Mapping[str, Sequence[str]] = {
    "tpm": ("sha256", "sha1", "sha1,sha256", "sha256,sha384", "sha1,sha256,sha384,sha512", "1.2", "none"),
    "interface": ("tis", "crb"),
    "base": ("v7.3", "v6.12"),
    "arch": ("x86_64", "arm64"),
    "kernel": ("patched", "distro", "nohtable"),
    "hash": ("sha256", "sha384", "sha512"),
    "template": ("ima-ng", "ima-sig", "ima-ngv2", "d-ng|n-ng|iuid"),
    "policy": ("files", "pcr=11", "tcb", "critical_data", "none"),
    "cpus": ("1", "2", "4"),
    "htable": ("kept", "flushed"),
}
_IN_CHECK = 6  # cells of the short form
_PCR = {"files": 10, "pcr=11": 11}
_FILES = "measure func=FILE_CHECK mask=MAY_READ fsmagic=0x858458f6"


def possible(cell: Cell) -> bool:
    """Whether a guest can have the settings of CELL, which need not have all of them."""

    def clash(**values: Sequence[str]) -> bool:
        return all(name in cell and cell[name] in of for name, of in values.items())

    return not (
        clash(interface=["crb"], tpm=["1.2", "none"])  # CRB is for TPM 2.0
        or clash(interface=["crb"], arch=["arm64"])  # QEMU's virt has none
        or clash(kernel=["distro"], base=["v6.12"])  # that configuration is Debian's for 7.3
        or clash(htable=["flushed"], base=["v6.12"])  # the parameter came with staging
        or clash(htable=["flushed"], kernel=["nohtable"])
        or clash(arch=["arm64"], kernel=["distro", "nohtable"])  # to build one kernel there for each base
    )


def _pairs(cell: Cell) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in itertools.combinations(cell.items(), 2)}


def cells(fixed: Cell = {}) -> list[Cell]:  # noqa: B006  (never changed)
    """Cells that have each possible pair of values, and the values of FIXED."""
    settings = {name: (fixed[name],) if name in fixed else values for name, values in SETTINGS.items()}
    every = [(name, value) for name, values in settings.items() for value in values]
    open_pairs = {
        frozenset((a, b)) for a, b in itertools.combinations(every, 2) if a[0] != b[0] and possible({**fixed, **dict((a, b))})
    }
    found: list[Cell] = []
    while open_pairs:
        # Deterministic: the first pair that is left, then the value of each setting that covers most.
        cell = dict(min(open_pairs, key=lambda pair: sorted(every.index(v) for v in pair)))
        for name, values in settings.items():
            if name in cell:
                continue
            fitting = [{**cell, name: value} for value in values if possible({**cell, name: value})]
            cell = max(fitting, key=lambda c: len(_pairs(c) & open_pairs))
        open_pairs -= _pairs(cell)
        found.append({name: cell[name] for name in settings})
    return found


def _spec(cell: Cell, policy: Path) -> GuestSpec:
    banks = cell["tpm"].split(",")
    version = cell["tpm"] if cell["tpm"] in ("1.2", "none") else "2.0"
    tpm = TpmSpec(version=version, interface=cell["interface"], banks=banks if version == "2.0" else ("sha1",))
    template = cell["template"]
    append = [f"ima_hash={cell['hash']}", f"ima_template{'_fmt' if '|' in template else ''}={template}"]
    if cell["policy"] in ("tcb", "critical_data"):
        append.append(f"ima_policy={cell['policy']}")
    if cell["htable"] == "flushed":
        append.append("ima_flush_htable")
    policy.write_text(_FILES + (" pcr=11\n" if cell["policy"] == "pcr=11" else "\n"))
    return GuestSpec(
        command=["sh", "/scenarios/matrix.sh"],
        base=cell["base"],
        flavour=cell["kernel"],
        tpm=tpm,
        smp=int(cell["cpus"]),
        append=append,
        policy=policy if cell["policy"] in _PCR else None,
        copies=[image.Copy(paths.GUEST / "scenarios", "/scenarios")],
        disk="64M",
        kexec=True,
        timeout=900.0,
        name="matrix",
    )


def _status(out: Path, name: str) -> int:
    return int((out / f"{name}.status").read_text())


def _judge(cell: Cell, out: Path) -> dict[str, object]:
    """What the programs in the guest, this program, and evmctl say about the log."""
    found: dict[str, object] = {}
    for name in ("take1", "part1", "part2", "take2", "part3"):
        if (status := _status(out, name)) != 0:
            found["ima-snapshot"] = f"{name}: exit {status}: {(out / f'{name}.stderr').read_text(errors='replace').strip()}"
            return found
    log = (out / "cat.stdout").read_bytes()
    records = list(imalog.records(log))
    found["records"] = len(records)
    aggregates = [imalog.aggregate(r) for r in records if r.is_aggregate]
    wrong = imalog.wrong_digests(records)
    counted = int((out / "ima/runtime_measurements_total").read_text())
    if [a.attempt for a in aggregates] != [1, 2] or wrong or counted != len(records):
        found["ima-snapshot"] = f"{len(aggregates)} aggregates, {len(wrong)} wrong digests, {counted} records counted"
        return found
    found["ima-snapshot"] = "ok"
    found["evmctl"] = _evmctl(cell, out, len(records))
    return found


def _evmctl(cell: Cell, out: Path, records: int) -> str:
    banks = [bank for bank in cell["tpm"].split(",") if bank in evmctl.BANKS]
    if not banks:
        return "not its bank"
    if cell["policy"] == "pcr=11":
        return "not its PCR"  # it stops at the first match of PCR 10 alone
    for bank in banks:
        verdict = evmctl.judge(out / "cat.stdout", bank, out / "pcrs" / bank)
        if not verdict.accepts(bank, 10, records):
            return f"{bank}: {verdict.text.strip().splitlines()[-1] if verdict.text.strip() else verdict.status}"
    return "ok"


def run_cell(cell: Cell) -> dict[str, object]:
    """Run one cell in this process, whose ARCH has to be that of the cell."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ima-matrix-") as directory:
        result = run_guest(_spec(cell, Path(directory) / "policy"))
        found = _judge(cell, result.out) if result.ok else {"ima-snapshot": f"{result.explain()}, exit {result.status}"}
    return {**cell, **found, "seconds": round(time.monotonic() - began)}


def _with_arch(name: str, *arguments: str, stdout: int | None) -> subprocess.CompletedProcess[str]:
    """Run this module in a process with another ARCH."""
    argv = [sys.executable, "-m", "imaharness.matrix", *arguments]
    return subprocess.run(
        argv, cwd=paths.HARNESS, env={**os.environ, "ARCH": name}, stdout=stdout, text=True, check=False
    )


def _prepare(kernels: Iterable[tuple[str, str]]) -> None:
    """Build the programs and KERNELS, each a base and a flavour, for this ARCH."""
    userspace.build()
    for name, flavour in kernels:
        kernel.build(find_base(name), kernel.find_flavour(flavour))


def _elsewhere(cell: Cell) -> dict[str, object]:
    """Run one cell in a process with its ARCH, which decides what is built where."""
    if cell["arch"] == arch.current().name:
        try:
            return run_cell(cell)
        except HarnessError as e:
            return {**cell, "ima-snapshot": str(e), "seconds": 0}
    done = _with_arch(cell["arch"], "--cell", json.dumps(dict(cell)), stdout=subprocess.PIPE)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {**cell, "ima-snapshot": f"the harness failed with {done.returncode}", "seconds": 0}
    found: dict[str, object] = json.loads(lines[-1])
    return found


def passed(found: Mapping[str, object]) -> bool:
    return found.get("ima-snapshot") == "ok" and str(found.get("evmctl", "")).startswith(("ok", "not its"))


def run(wanted: Iterable[Cell]) -> list[dict[str, object]]:
    """Run the cells, side by side; print each result."""
    done = []
    with process.guest_pool() as pool:
        for found in pool.map(_elsewhere, wanted):
            words = " ".join(f"{name}={found[name]}" for name in SETTINGS)
            print(f"  {'pass' if passed(found) else 'FAIL'}: {words}: {found.get('ima-snapshot')}, evmctl {found.get('evmctl', '-')}"
                  f" ({found['seconds']} s)", flush=True)  # fmt: skip
            done.append(found)
    return done


def check(base_name: str) -> Suite:
    """The short form: the first cells of this machine and this base."""
    suite = Suite("matrix")
    began = time.monotonic()
    wanted = cells({"base": base_name, "arch": arch.current().name, "kernel": "patched"})[:_IN_CHECK]
    for found in run(wanted):
        name = " ".join(f"{k}={found[k]}" for k in SETTINGS)
        text = f"ima-snapshot: {found.get('ima-snapshot')}\nevmctl: {found.get('evmctl')}"
        suite.add(name, Status.PASS if passed(found) else Status.FAIL, text)
    suite.seconds = time.monotonic() - began
    return suite


_COLUMNS = (*SETTINGS, "records", "ima-snapshot", "evmctl", "seconds")


def markdown(head: str, results: Sequence[Mapping[str, object]]) -> str:
    def row(texts: Iterable[object]) -> str:
        return "| " + " | ".join(str(t).replace("|", "\\|").replace("\n", " ") for t in texts) + " |"

    lines = ["<!-- SPDX-License-Identifier: GPL-2.0-or-later -->", "# Last run of `make matrix`", "", head, ""]
    lines += [row(_COLUMNS), row("---" for _ in _COLUMNS)]
    lines += [row(found.get(name, "-") for name in _COLUMNS) for found in results]
    return "\n".join(lines) + "\n"


def page(head: str, results: Sequence[Mapping[str, object]]) -> str:
    def row(cell: str, texts: Iterable[object]) -> str:
        return "<tr>" + "".join(f"<{cell}>{html.escape(str(t))}</{cell}>" for t in texts) + "</tr>"

    rows = [row("th", _COLUMNS), *(row("td", (found.get(name, "-") for name in _COLUMNS)) for found in results)]
    style = "table{border-collapse:collapse}td,th{border:1px solid #999;padding:2px 6px;text-align:left}"
    return (
        "<!doctype html>\n<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n"
        f'<html lang="en"><meta charset="utf-8"><title>make matrix</title><style>{style}</style>\n'
        f"<h1>Last run of make matrix</h1>\n<p>{html.escape(head)}</p>\n<table>\n" + "\n".join(rows) + "\n</table></html>\n"
    )


def write(results: Sequence[Mapping[str, object]], file: Path = RESULTS) -> None:
    """Write the results as JSON, Markdown and HTML."""
    commit = process.output(["git", "rev-parse", "--short=12", "HEAD"], cwd=paths.ROOT).strip()
    good = sum(passed(found) for found in results)
    head = f"{time.strftime('%Y-%m-%d')}, {commit}: {good} of {len(results)} cells passed."
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"head": head, "cells": results}, indent=1) + "\n")
    file.with_suffix(".md").write_text(markdown(head, results))
    file.with_suffix(".html").write_text(page(head, results))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="matrix", description="Run snapshots over kexec for each pair of settings.")
    parser.add_argument("--prepare", help=argparse.SUPPRESS)  # kernels and programs of this ARCH
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help="print the cells and run none")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="only cells with this value, for example base=v6.12")
    args = parser.parse_args(argv)
    if args.prepare is not None:
        _prepare(json.loads(args.prepare))
        return 0
    if args.cell is not None:
        print(json.dumps(run_cell(json.loads(args.cell))))
        return 0
    fixed = dict(s.partition("=")[::2] for s in args.settings)
    if wrong := [f"{k}={v}" for k, v in fixed.items() if v not in SETTINGS.get(k, ())]:
        parser.error(f"no setting {', '.join(wrong)}; there are: {'; '.join(f'{k}={a}' for k, v in SETTINGS.items() for a in v)}")
    wanted = cells(fixed)
    if args.list:
        print("\n".join(" ".join(f"{k}={v}" for k, v in cell.items()) for cell in wanted))
        return 0
    for name in dict.fromkeys(cell["arch"] for cell in wanted):
        kernels = sorted({(c["base"], c["kernel"]) for c in wanted if c["arch"] == name})
        _with_arch(name, "--prepare", json.dumps(kernels), stdout=None).check_returncode()
    results = run(wanted)
    if not fixed:
        write(results)
    failed = sum(not passed(found) for found in results)
    print(f"{len(results) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
