# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide between KVM and TCG.

/dev/kvm may exist and yet hang every guest in its firmware, so 'auto' believes
it only after a guest has run; the answer is kept until the host boots again.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import paths, qemu
from .errors import UsageError

CHOICES = ("auto", "kvm", "tcg")
_PROBE_SECONDS = 15


def _probe(kernel: Path) -> bool:
    """Whether KERNEL, given no root file system, panics and so ends QEMU in time."""
    argv = [qemu.program(), "-nodefaults", "-display", "none", "-no-reboot", "-m", "256M"]
    argv += [*qemu.accel_options("kvm"), "-kernel", str(kernel), "-append", "panic=-1"]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _answer_file() -> Path:
    return paths.BUILD / "accel"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _known() -> str | None:
    """What 'auto' found since the host booted."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    if _answer_file().exists():
        boot, _, answer = _answer_file().read_text().strip().partition(" ")
        if boot == _boot_id() and answer in ("kvm", "tcg"):
            return answer
    return None


def _check(wanted: str) -> None:
    if wanted not in CHOICES:
        raise UsageError(f"no accelerator {wanted!r}; there are {', '.join(CHOICES)}")


def foreseen(wanted: str) -> str:
    """What choose() answers if a probe that it would have to make succeeds."""
    _check(wanted)
    return (_known() or "kvm") if wanted == "auto" else wanted


def choose(wanted: str, kernel: Path) -> str:
    """'kvm' or 'tcg' for WANTED, one of CHOICES."""
    _check(wanted)
    if wanted != "auto":
        return wanted
    if (known := _known()) is not None:
        return known
    chosen = "kvm" if _probe(kernel) else "tcg"
    paths.BUILD.mkdir(parents=True, exist_ok=True)
    _answer_file().write_text(f"{_boot_id()} {chosen}\n")
    return chosen
