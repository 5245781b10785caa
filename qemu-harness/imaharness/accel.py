# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose between KVM and TCG.

/dev/kvm may exist and yet hang every guest in its firmware. So 'auto' boots a
guest with KVM once before it chooses KVM. The result is kept until the host reboots.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import arch, paths, qemu
from .errors import UsageError

CHOICES = ("auto", "kvm", "tcg")
_PROBE_SECONDS = 15


def _probe(kernel: Path) -> bool:
    """Boot KERNEL with KVM; it has no root file system, so it should panic and end QEMU in time."""
    argv = [arch.current().qemu, "-nodefaults", "-display", "none", "-no-reboot", "-m", "256M"]
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
    """The result of 'auto' if it needs no probe."""
    if not arch.current().native or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    if _answer_file().exists():
        boot, _, answer = _answer_file().read_text().strip().partition(" ")
        if boot == _boot_id() and answer in ("kvm", "tcg"):
            return answer
    return None


def _check(wanted: str) -> None:
    if wanted not in CHOICES:
        raise UsageError(f"unknown accelerator {wanted!r}; choose from {', '.join(CHOICES)}")


def foreseen(wanted: str) -> str:
    """What choose() returns; if that needs a probe, assume that the probe succeeds."""
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
