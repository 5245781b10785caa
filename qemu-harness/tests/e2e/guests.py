# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot guests that run a scenario, and read what it left in /out."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import unittest
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import support  # noqa: F401  (puts the harness on the path)
from imaharness import arch, given, image, imalog, kernel, paths, process
from imaharness.bases import DEFAULT_BASE, Base, find_base
from imaharness.guest import GuestResult, GuestSpec, Outcome, run_guest
from imaharness.tpm import TpmSpec

SCENARIOS = paths.GUEST / "scenarios"
GUEST_SCENARIOS = "/scenarios"
MEASURED_PCR = 10
_HERE = Path(__file__).resolve().parent
NO_TPM = TpmSpec(version="none")


@dataclass(frozen=True)
class Ran:
    """How one command of a scenario ended and what it printed."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        """The error of a command that was run with --json."""
        return json.loads(self.stderr.splitlines()[-1])["error"]

    def __str__(self) -> str:
        return f"exit {self.status}\n{self.stdout.decode(errors='replace')}{self.stderr}"


@dataclass(frozen=True)
class Kernel:
    """The list in memory and the counters, copied by copy_kernel of lib.sh."""

    log: bytes
    ascii: bytes
    count: int
    total: int
    size: int
    attempts: int
    purges: int

    @staticmethod
    def read(directory: Path) -> Kernel:
        def number(name: str) -> int:
            return int((directory / name).read_text())

        return Kernel(
            (directory / "binary_runtime_measurements").read_bytes(),
            (directory / "ascii_runtime_measurements").read_bytes(),
            number("runtime_measurements_count"),
            number("runtime_measurements_total"),
            number("runtime_measurements_size"),
            number("snapshot_attempts"),
            number("snapshot_purges"),
        )


@dataclass(frozen=True)
class Pcrs:
    """All PCRs of all banks, copied from the kernel's sysfs by copy_pcrs of lib.sh."""

    files: Mapping[str, Path]
    values: Mapping[str, tuple[bytes, ...]]

    @staticmethod
    def read(directory: Path) -> Pcrs:
        files = {f.name: f for f in sorted(directory.iterdir())}
        values: dict[str, tuple[bytes, ...]] = {}
        for name, file in files.items():
            lines = [line.split(": ") for line in file.read_text().splitlines()]
            assert [line[0] for line in lines] == [f"PCR-{n:02d}" for n in range(imalog.PCRS)], file
            values[name] = tuple(bytes.fromhex(line[1]) for line in lines)
        return Pcrs(files, values)


class Out:
    """What a scenario wrote to /out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    def ran(self, name: str) -> Ran:
        """What 'run NAME' of lib.sh kept."""
        return Ran(
            int((self / f"{name}.status").read_text()),
            (self / f"{name}.stdout").read_bytes(),
            (self / f"{name}.stderr").read_text(errors="replace"),
        )

    def kernel(self, name: str = "ima") -> Kernel:
        return Kernel.read(self / name)

    def pcrs(self, name: str = "pcrs") -> Pcrs:
        return Pcrs.read(self / name)

    def segments(self, store: str = "store") -> list[Path]:
        """The segments of the current boot, in order."""
        return sorted((self / store).glob("boots/*/*.ima"))

    def leftovers(self) -> list[str]:
        """What the store has besides segments and metadata."""
        return [f.name for f in (self / "store").rglob("*") if f.suffix not in ("", ".ima", ".json")]


def need_program(name: str = "ima-snapshot") -> None:
    """Skip the tests of a class if the program was not built."""
    if name not in image.project_programs():
        raise unittest.SkipTest(f"{name} is not built; run 'make userspace'")


def need_tool(name: str) -> None:
    """Skip a test if this machine lacks a program that it needs."""
    if shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        raise unittest.SkipTest(f"{name} is not installed; run 'make deps'")


def built(name: str, source: str, *options: str, host: bool = False) -> Path:
    """build/e2e/NAME, compiled from SOURCE for the guest, or for a process of the HOST."""
    compiler = "gcc" if host else arch.current().program("gcc")
    need_tool(compiler)
    made = paths.BUILD / "e2e" / name
    made.parent.mkdir(parents=True, exist_ok=True)
    # Under a name of its own first: another file's tests may build or use it now.
    with tempfile.TemporaryDirectory(dir=made.parent) as directory:
        new = Path(directory) / name
        process.output([compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", new, _HERE / source, *options])
        return new.rename(made)


def setpriv() -> image.Copy:
    """setpriv for the guest, which starts programs with fewer of root's capabilities."""
    found = image.tool("setpriv")
    if found is None:
        raise unittest.SkipTest("setpriv is not installed; run 'make deps'")
    return image.Copy(found, f"{image.GUEST_BIN}/setpriv")


def base() -> Base:
    return find_base(os.environ.get("BASE") or DEFAULT_BASE)


def need_kernel(flavour: str, *features: str) -> None:
    """Skip a test if the base, or the image that KERNEL= names, cannot run it."""
    reason = kernel.flavour_reason(base(), kernel.find_flavour(flavour))
    if not kernel.find_flavour(flavour).series:  # such a kernel has staging alone
        reason = reason or kernel.reason_against(base(), ["IMA_STAGING"])
    reason = reason or given.reason_against(flavour, features)
    if reason is not None:
        raise unittest.SkipTest(reason)


def spec(scenario: str, name: str, *features: str, **options: Any) -> GuestSpec:
    """A guest that runs guest/scenarios/SCENARIO under the policy of the scenarios.

    FEATURES, from given.FEATURES, are what the scenario needs besides a snapshot,
    the TPM and what OPTIONS ask for.
    """
    flavour = options.get("flavour", "patched")
    asked = [feature for option, feature in (("disk", "disk"), ("kexec", "kexec")) if options.get(option)]
    tpm = [] if options.get("tpm", TpmSpec()).version == "none" else ["tpm"]
    need_kernel(flavour, "ima", "policy", "snapshot", *tpm, *asked, *features)
    copies = [image.Copy(SCENARIOS, GUEST_SCENARIOS), *options.pop("copies", ())]
    return GuestSpec(
        command=["sh", f"{GUEST_SCENARIOS}/{scenario}"],
        base=base().name,
        kernel=given.image(),
        ksrc=Path(tree) if (tree := os.environ.get("KSRC")) else None,
        accel=os.environ.get("ACCEL") or "auto",
        policy=SCENARIOS / options.pop("policy", "ramfs.policy"),
        copies=copies,
        timeout=options.pop("timeout", 600.0),
        name=f"e2e-{name}",
        **options,
    )


def boot(guest: GuestSpec) -> GuestResult:
    """Run GUEST; AssertionError with its output unless it succeeded, or was killed as requested."""
    result = run_guest(guest)
    if not result.ok and result.outcome is not Outcome.KILLED:
        said = (result.stdout + result.stderr).decode(errors="replace")
        raise AssertionError(f"{guest.name}: {result.explain()}\nexit {result.status}\n{said}")
    return result


@dataclass(frozen=True)
class Setting:
    """One guest that runs the cycle."""

    banks: tuple[str, ...]
    interface: str
    disk: bool  # the store on ext4, or on tmpfs with allow_volatile

    @property
    def name(self) -> str:
        return f"{'-'.join(self.banks)}-{self.interface}"


@cache
def cycle(setting: Setting) -> Out:
    """The results of cycle.sh under SETTING; each setting runs only once."""
    env = {"STORE": "/disk/store"} if setting.disk else {"STORE": "/tmp/store", "CONFIG": "allow_volatile = true"}
    guest = spec(
        "cycle.sh",
        f"cycle-{setting.name}",
        tpm=TpmSpec(interface=setting.interface, banks=setting.banks),
        env=env,
        disk="64M" if setting.disk else None,
    )
    return Out(boot(guest).out)
