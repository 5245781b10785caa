# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a guest, run one command in it, report how it ended.

    result = run_guest(GuestSpec(command=["sh", "-c", "exit 3"]))
    result.status        # 3
    result.ok            # False: not 0, or a report on the console, or a time-out

Everything is kept in result.directory: console.log, stdout.log, stderr.log,
result.json and, unless the spec names another place, out/ with what the
command wrote to /out.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from . import accel, disk, image, kernel, paths, process, qemu
from .bases import DEFAULT_BASE, find_base
from .console import ConsoleWatcher
from .errors import EXIT_HARNESS, EXIT_TIMEOUT, HarnessError, UsageError
from .tpm import Swtpm, TpmSpec

_QEMU_EXIT_SECONDS = 20.0
# Between two lines of a guest that boots. An emulated debug kernel on a busy host needs up to a minute.
SILENCE_SECONDS = 180.0
Sink = Callable[[bytes], None]


class Outcome(Enum):
    """How a run ended, as the harness saw it."""

    EXITED = "the command ended"
    CONSOLE = "the kernel reported trouble on the console"
    TIMEOUT = "time-out"
    HUNG = "the guest hung while it booted"
    KILLED = "the harness killed the guest at the requested text"
    DIED = "the guest ended without reporting its command's status"
    FAILED = "the guest could not start its command"


@dataclass
class GuestSpec:
    """What to boot and what to run in it."""

    command: Sequence[str]
    base: str = DEFAULT_BASE
    flavour: str = "patched"
    kernel: Path | None = None  # any bzImage instead of a flavour
    ksrc: Path | None = None
    tpm: TpmSpec = field(default_factory=TpmSpec)
    append: Sequence[str] = ()
    memory_mib: int = 1024
    smp: int = 2
    accel: str = "auto"
    timeout: float = 300.0
    copies: Sequence[image.Copy] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    policy: Path | None = None
    out: Path | None = None
    disk: str | None = None
    file_system: str = "ext4"  # of a new disk, one of disk.FILE_SYSTEMS
    kexec: bool = False  # give the guest its own kernel and initramfs in /boot
    terminal: bool = False
    kill_on: str | None = None  # cut the guest's power when the command prints this text
    name: str = "run"


@dataclass
class GuestResult:
    """How a run ended and what it left."""

    outcome: Outcome
    status: int | None  # the command's own; None if it was not reported
    reports: list[str]
    stdout: bytes
    stderr: bytes
    directory: Path
    out: Path
    seconds: float
    reason: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.EXITED and self.status == 0

    @property
    def exit_status(self) -> int:
        """What 'vm run' exits with: the command's own status, 124 or 125."""
        if self.outcome in (Outcome.TIMEOUT, Outcome.HUNG):
            return EXIT_TIMEOUT
        if self.outcome is Outcome.EXITED and self.status is not None:
            return self.status
        return 0 if self.outcome is Outcome.KILLED else EXIT_HARNESS

    def explain(self) -> str:
        """One line for the user, and the kernel's reports if there were any."""
        text = self.outcome.value + (f": {self.reason}" if self.reason else "")
        return "\n".join([f"{text} (console: {self.directory / 'console.log'})", *self.reports[:10]])


def new_run_directory(name: str) -> Path:
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    for number in range(1000):
        directory = paths.RESULTS / (stem if number == 0 else f"{stem}-{number}")
        try:
            directory.mkdir(parents=True)
            return directory
        except FileExistsError:
            continue
    raise HarnessError(f"{paths.RESULTS} has too many runs called {stem}")


def check(spec: GuestSpec) -> None:
    """Raise UsageError if no guest can be like SPEC."""
    spec.tpm.check()
    if not spec.command:
        raise UsageError("no command to run in the guest")
    if spec.timeout <= 0 or spec.memory_mib < 128 or spec.smp < 1:
        raise UsageError("the time-out and the number of CPUs must be positive, and memory at least 128 MiB")
    if spec.kernel is not None and not spec.kernel.is_file():
        raise UsageError(f"no kernel image {spec.kernel}")
    if spec.policy is not None and not spec.policy.is_file():
        raise UsageError(f"no policy file {spec.policy}")


class _Channel:
    """One stream from the guest: kept in a file and in memory, and passed on at once."""

    def __init__(self, log: Path, sink: Sink | None) -> None:
        self.host, self.guest = socket.socketpair()
        self.host.setblocking(False)
        self._log = log.open("wb", buffering=0)
        self._sink = sink
        self.data = bytearray()

    def receive(self) -> bool:
        """Read what has arrived; False at the end of the stream."""
        try:
            data = self.host.recv(1 << 16)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            data = b""
        if not data:
            return False
        self._log.write(data)
        self.data += data
        if self._sink is not None:
            self._sink(data)
        return True

    def close(self) -> None:
        self.host.close()
        self.guest.close()
        self._log.close()


def machine_of(
    spec: GuestSpec,
    *,
    bzimage: Path,
    accelerator: str,
    boot: Path,
    out: Path,
    fds: Mapping[str, int],
    tpm_socket: Path | None,
    disk_file: Path | None,
) -> qemu.Machine:
    """The machine for SPEC. BOOT has the initrd; FDS has the sockets of the console and the ports."""
    shares = {"harness_out": (out, False)}
    if spec.kexec:
        shares["harness_boot"] = (boot, True)
    return qemu.Machine(
        kernel=bzimage,
        initrd=boot / "initrd",
        accel=accelerator,
        memory_mib=spec.memory_mib,
        smp=spec.smp,
        append=spec.append,
        console_fd=fds["console"],
        port_fds={name: fds[name] for name in qemu.PORTS},
        tpm_socket=tpm_socket,
        tpm_interface=spec.tpm.interface,
        shares=shares,
        disk=disk_file,
        terminal=spec.terminal,
    )


class _Run:
    """The processes and streams of one guest."""

    def __init__(self, spec: GuestSpec, stack: ExitStack, out: Sink | None, err: Sink | None) -> None:
        self.spec = spec
        self.directory = new_run_directory(spec.name)
        self.out = (spec.out or self.directory / "out").absolute()
        self.out.mkdir(parents=True, exist_ok=True)
        self.watcher = ConsoleWatcher()
        sinks = {"console": self.watcher.feed, "stdout": out, "stderr": err, "status": None}
        self.channels: dict[str, _Channel] = {}
        for name, sink in sinks.items():
            channel = _Channel(self.directory / f"{name}.log", sink)
            stack.callback(channel.close)
            self.channels[name] = channel

    def launch(self, stack: ExitStack, bzimage: Path) -> subprocess.Popen[bytes]:
        spec = self.spec
        boot = self.directory / "boot"
        boot.mkdir()
        initrd = boot / "initrd"
        contents = image.Contents(spec.command, spec.env, spec.copies, spec.policy)
        image.write_initrd(contents, initrd)
        stack.callback(shutil.rmtree, boot)
        if spec.kexec:
            shutil.copyfile(bzimage, boot / "bzImage")
        tpm = None
        if spec.tpm.version != "none":
            tpm = stack.enter_context(Swtpm(spec.tpm, self.directory / "swtpm.log"))
        machine = machine_of(
            spec,
            bzimage=bzimage,
            accelerator=accel.choose(spec.accel, bzimage),
            boot=boot,
            out=self.out,
            fds={name: channel.guest.fileno() for name, channel in self.channels.items()},
            tpm_socket=None if tpm is None else tpm.socket,
            disk_file=None if spec.disk is None else disk.prepare(spec.disk, self.directory, spec.file_system),
        )
        started = process.start(
            qemu.command(machine),
            log=self.directory / "qemu.log",
            pass_fds=[c.guest.fileno() for c in self.channels.values()],
            terminal=spec.terminal,
        )
        stack.callback(process.stop, started)
        for channel in self.channels.values():
            channel.guest.close()
        return started

    def follow(self, deadline: float) -> Outcome | None:
        """Read the streams until QEMU closes them; an Outcome if the harness must end the guest before."""
        wanted = None if self.spec.kill_on is None else self.spec.kill_on.encode()
        heard = time.monotonic()
        with selectors.DefaultSelector() as ready:
            for channel in self.channels.values():
                ready.register(channel.host, selectors.EVENT_READ, channel)
            while ready.get_map():
                now = time.monotonic()
                if now >= deadline:
                    return Outcome.TIMEOUT
                limit = deadline if self.channels["status"].data else min(deadline, heard + SILENCE_SECONDS)
                if now >= limit:
                    return Outcome.HUNG
                for key, _ in ready.select(limit - now):
                    heard = time.monotonic()
                    if not key.data.receive():
                        ready.unregister(key.fileobj)
                if wanted is not None and wanted in self.channels["stdout"].data:
                    return Outcome.KILLED
        return None

    def outcome(self, cut_short: Outcome | None) -> tuple[Outcome, int | None, str]:
        """What happened. A report on the console takes precedence over everything else."""
        self.watcher.close()
        lines = self.channels["status"].data.decode(errors="replace").splitlines()
        word, _, rest = lines[-1].partition(" ") if lines else ("", "", "")
        status = int(rest) if word == "exit" and rest.isdigit() else None
        if self.watcher.reports:
            return Outcome.CONSOLE, status, self.watcher.reports[0]
        if cut_short is Outcome.TIMEOUT:
            return cut_short, status, f"after {self.spec.timeout:g} s"
        if cut_short is Outcome.HUNG:
            return cut_short, None, f"its console was silent for {SILENCE_SECONDS:g} s"
        if cut_short is not None:
            return cut_short, status, ""
        if word == "fail":
            return Outcome.FAILED, None, rest
        if status is None:
            return Outcome.DIED, None, process.tail_of(self.directory / "qemu.log")
        return Outcome.EXITED, status, ""


def _bzimage(spec: GuestSpec) -> Path:
    if spec.kernel is not None:
        return spec.kernel.absolute()
    return kernel.build(find_base(spec.base), kernel.find_flavour(spec.flavour), spec.ksrc)


def run_guest(spec: GuestSpec, stdout: Sink | None = None, stderr: Sink | None = None) -> GuestResult:
    """Boot SPEC's kernel, run its command, wait for the end; the sinks get the output live.

    Emulated CPUs can lose an interrupt, and the guest then hangs. If it did so before
    its command began, it is booted once more, which is reported on stderr.

    Raises UsageError before anything is started if SPEC makes no sense, and
    HarnessError if something on the host fails. The result reports what goes wrong
    in the guest.
    """
    check(spec)
    bzimage = _bzimage(spec)
    result = _boot(spec, bzimage, stdout, stderr)
    if result.outcome is Outcome.HUNG:
        print(f"guest: {spec.name} is booted again: {result.explain()}", file=sys.stderr)
        result = _boot(spec, bzimage, stdout, stderr)
    return result


def _boot(spec: GuestSpec, bzimage: Path, stdout: Sink | None, stderr: Sink | None) -> GuestResult:
    began = time.monotonic()
    with ExitStack() as stack:
        run = _Run(spec, stack, stdout, stderr)
        started = run.launch(stack, bzimage)
        cut_short = run.follow(time.monotonic() + spec.timeout)
        if cut_short is not None:
            started.kill()
        try:
            started.wait(timeout=_QEMU_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
        outcome, status, reason = run.outcome(cut_short)
    result = GuestResult(
        outcome=outcome,
        status=status,
        reports=run.watcher.reports,
        stdout=bytes(run.channels["stdout"].data),
        stderr=bytes(run.channels["stderr"].data),
        directory=run.directory,
        out=run.out,
        seconds=time.monotonic() - began,
        reason=reason,
    )
    _record(spec, result)
    return result


def _record(spec: GuestSpec, result: GuestResult) -> None:
    facts = {
        "command": list(spec.command),
        "base": spec.base,
        "flavour": spec.flavour if spec.kernel is None else str(spec.kernel),
        "tpm": spec.tpm.version,
        "banks": list(spec.tpm.banks),
        "append": list(spec.append),
        "outcome": result.outcome.name.lower(),
        "status": result.status,
        "reason": result.reason,
        "reports": result.reports,
        "seconds": round(result.seconds, 2),
    }
    (result.directory / "result.json").write_text(json.dumps(facts, indent=2) + os.linesep)
