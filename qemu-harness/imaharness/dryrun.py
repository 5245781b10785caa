# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines of a run, without starting or creating anything."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from . import accel, disk, kernel, paths, qemu, tpm
from .bases import find_base
from .guest import GuestSpec, check, machine_of

# Placeholders for what only a run knows: its temporary directory, its open sockets.
_SCRATCH = Path("/tmp/ima-tpm-XXXXXXXX")
_FDS = {name: number for number, name in enumerate(("console", *qemu.PORTS), 3)}


def command_lines(spec: GuestSpec) -> list[str]:
    """One line per program, in the order in which they start, quoted for a shell.

    With ACCEL=auto the lines are for KVM if /dev/kvm can be opened and no earlier
    probe failed.
    """
    check(spec)
    lines = []
    run = paths.RESULTS / f"TIME-{spec.name}"
    if spec.kernel is not None:
        bzimage = spec.kernel.absolute()
    else:
        bzimage = kernel.image_file(find_base(spec.base), kernel.find_flavour(spec.flavour))
    socket = None
    if spec.tpm.version != "none":
        socket = _SCRATCH / "socket"
        state = spec.tpm.state or _SCRATCH / "state"
        if not (state.is_dir() and any(state.iterdir())):
            lines.append(shlex.join(tpm.setup_command(spec.tpm, state, run / "swtpm.log")))
        env = [f"{name}={value}" for name, value in tpm.environment(spec.tpm).items()]
        lines.append(shlex.join([*(["env", *env] if env else []), *tpm.command(spec.tpm, state, socket)]))
    machine = machine_of(
        spec,
        bzimage=bzimage,
        accelerator=accel.foreseen(spec.accel),
        boot=run / "boot",
        out=Path(os.path.abspath(spec.out or run / "out")),
        fds=_FDS,
        tpm_socket=socket,
        disk_file=None if spec.disk is None else disk.locate(spec.disk, run)[0],
    )
    return [*lines, shlex.join(qemu.command(machine))]
