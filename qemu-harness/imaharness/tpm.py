# SPDX-License-Identifier: GPL-2.0-or-later
"""A software TPM for one guest: its state, its process, its socket."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from . import arch, process
from .errors import HarnessError, UsageError

VERSIONS = ("2.0", "1.2", "none")
INTERFACES = ("tis", "crb")
BANKS = ("sha1", "sha256", "sha384", "sha512")
_START_SECONDS = 20.0


@dataclass(frozen=True)
class TpmSpec:
    """The TPM of a guest. PRELOAD is a library for LD_PRELOAD of swtpm."""

    version: str = "2.0"
    interface: str = "tis"
    banks: Sequence[str] = ("sha256",)
    state: Path | None = None  # kept between runs; without it each run gets a new TPM
    preload: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def reason_against(self) -> str | None:
        """Why the guest's machine cannot have this TPM, or None."""
        if self.version == "none" or self.interface in arch.current().tpm_devices:
            return None
        return f"QEMU's machine for {arch.current().name} has no TPM with the interface {self.interface}"

    def check(self) -> None:
        """Raise UsageError if no TPM can be like this."""
        if self.version not in VERSIONS:
            raise UsageError(f"unknown TPM version {self.version!r}; choose from {', '.join(VERSIONS)}")
        if self.interface not in INTERFACES:
            raise UsageError(f"unknown TPM interface {self.interface!r}; choose from {', '.join(INTERFACES)}")
        if (reason := self.reason_against()) is not None:
            raise UsageError(reason)
        if self.version == "1.2" and self.interface == "crb":
            raise UsageError("a TPM 1.2 has no CRB interface")
        unknown = [b for b in self.banks if b not in BANKS]
        if unknown or not self.banks:
            raise UsageError(f"PCR banks {','.join(self.banks)!r}: choose one or more of {', '.join(BANKS)}")
        if self.preload is not None and not self.preload.is_file():
            raise UsageError(f"no library {self.preload}")


def setup_command(spec: TpmSpec, state: Path, log: Path) -> list[str]:
    """The command that makes a new TPM in the directory STATE."""
    argv = ["swtpm_setup", "--tpmstate", str(state), "--logfile", str(log)]
    if os.geteuid() == 0:
        argv += ["--runas", "root"]
    if spec.version == "2.0":
        argv += ["--tpm2", "--pcr-banks", ",".join(spec.banks)]
    return argv


def command(spec: TpmSpec, state: Path, socket: Path) -> list[str]:
    """The command that runs that TPM on SOCKET, without what depends on swtpm's version."""
    argv = ["swtpm", "socket", "--tpmstate", f"dir={state}", "--terminate", "--ctrl", f"type=unixio,path={socket}"]
    if spec.version == "2.0":
        argv.append("--tpm2")
    if spec.preload is not None:
        argv += ["--seccomp", "action=none"]  # its filter forbids the library's system calls
    return argv


@functools.cache
def _power_failure() -> Sequence[str]:
    """The option with which swtpm's end is a power failure. Since 0.8 it would save the TPM's state."""
    known = "flags-opt-disable-auto-shutdown" in process.output(["swtpm", "socket", "--print-capabilities"])
    return ("--flags", "disable-auto-shutdown") if known else ()


def environment(spec: TpmSpec) -> dict[str, str]:
    """The variables that swtpm gets besides the harness's own environment."""
    preload = {} if spec.preload is None else {"LD_PRELOAD": str(spec.preload.absolute())}
    return {**spec.env, **preload}


class Swtpm:
    """A running swtpm; leaving the context ends it and removes its temporary files."""

    def __init__(self, spec: TpmSpec, log: Path) -> None:
        self._spec = spec
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        # Not below the build directory: a socket's path may have only 107 bytes.
        self._scratch = Path(tempfile.mkdtemp(prefix="ima-tpm-"))
        self.socket = self._scratch / "socket"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Swtpm:
        try:
            self._start(self._prepare_state())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            process.stop(self._process)
        shutil.rmtree(self._scratch)

    def _prepare_state(self) -> Path:
        state = self._spec.state or self._scratch / "state"
        state.mkdir(parents=True, exist_ok=True)
        if any(state.iterdir()):
            return state
        process.output(setup_command(self._spec, state, self._log))
        return state

    def _start(self, state: Path) -> None:
        argv = command(self._spec, state, self.socket)
        if self._spec.version == "2.0":
            argv += _power_failure()
        self._process = process.start(argv, log=self._log, env=environment(self._spec))
        deadline = time.monotonic() + _START_SECONDS
        while not self.socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise HarnessError(f"swtpm did not start:\n{process.tail_of(self._log)}")
            time.sleep(0.01)
