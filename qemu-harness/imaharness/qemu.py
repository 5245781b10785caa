# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of one guest's QEMU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import arch

# oops=panic, panic=-1 and -no-reboot: a broken kernel ends QEMU instead of waiting for the time-out.
_COMMAND_LINE = (
    "oops=panic",
    "panic=-1",
    "kunit.enable=0",
    "rcupdate.rcu_cpu_stall_timeout=60",
)
PORTS = ("stdout", "stderr", "status")


@dataclass(frozen=True)
class Machine:
    """What QEMU's command line is made from. Its descriptors and sockets are already open."""

    kernel: Path
    initrd: Path
    accel: str
    memory_mib: int
    smp: int
    append: Sequence[str]
    console_fd: int
    port_fds: Mapping[str, int]  # by the names in PORTS
    tpm_socket: Path | None
    tpm_interface: str
    shares: Mapping[str, tuple[Path, bool]]  # 9p tag: directory, read-only
    disk: Path | None
    terminal: bool


def accel_options(accel: str) -> list[str]:
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", arch.current().tcg_cpu]


def command(m: Machine) -> list[str]:
    """QEMU's argv."""
    target = arch.current()
    argv = [target.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-machine", target.qemu_machine, *accel_options(m.accel)]
    argv += ["-m", f"{m.memory_mib}M", "-smp", str(m.smp)]
    argv += ["-kernel", str(m.kernel), "-initrd", str(m.initrd)]
    argv += ["-append", " ".join([*target.command_line, *_COMMAND_LINE, *m.append])]
    argv += ["-chardev", f"socket,id=console,fd={m.console_fd}", "-serial", "chardev:console"]
    argv += ["-device", "virtio-rng", "-device", "virtio-serial"]  # on PCI, or as s390x has them
    for name, fd in m.port_fds.items():
        argv += ["-chardev", f"socket,id={name},fd={fd}"]
        argv += ["-device", f"virtserialport,chardev={name},name=harness.{name}"]
    if m.terminal:
        argv += ["-chardev", "stdio,id=terminal,signal=off", "-device", "virtconsole,chardev=terminal"]
    for tag, (directory, read_only) in m.shares.items():
        share = f"local,id={tag},path={directory},mount_tag={tag},security_model=none"
        argv += ["-virtfs", share + (",readonly=on" if read_only else "")]
    if m.disk is not None:
        argv += ["-drive", f"file={m.disk},if=virtio,format=raw,cache=writethrough"]
    if m.tpm_socket is not None:
        argv += ["-chardev", f"socket,id=tpm,path={m.tpm_socket}"]
        argv += ["-tpmdev", "emulator,id=tpm0,chardev=tpm"]
        argv += ["-device", f"{target.tpm_devices[m.tpm_interface]},tpmdev=tpm0"]
    return argv
