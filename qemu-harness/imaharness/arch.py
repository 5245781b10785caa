# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines that a guest can be: all that differs between them is here.

ARCH in the environment chooses one. Everything that is built for another machine
than x86-64 is below build/<ARCH>.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError


@dataclass(frozen=True)
class Arch:
    """One machine under QEMU, with its kernel and programs."""

    name: str  # as in ARCH=, and the name of a configuration fragment
    machine: str  # as 'uname -m' prints it
    kernel: str  # ARCH of the kernel's makefiles
    image: Path  # the kernel's image in its object directory
    debian: str  # Debian's name
    cross: str  # prefix of a cross compiler's programs
    user_qemu: str  # runs its programs on another machine
    qemu: str
    qemu_machine: str
    tcg_cpu: str
    command_line: tuple[str, ...]  # of the kernel
    tpm_devices: Mapping[str, str]  # by the name of the interface
    lacks: tuple[str, ...] = ()  # options of the kernel that it does not have

    @property
    def native(self) -> bool:
        return platform.machine() == self.machine

    def program(self, name: str) -> str:
        """The host's program NAME (gcc, g++, strip) for this machine."""
        return name if self.native else f"{self.cross}{name}"

    @property
    def make_arguments(self) -> list[str]:
        """What kbuild has to know, whatever ARCH is in the environment."""
        return [f"ARCH={self.kernel}", f"CROSS_COMPILE={'' if self.native else self.cross}"]


ARCHES = {
    arch.name: arch
    for arch in (
        Arch(
            name="x86_64",
            machine="x86_64",
            kernel="x86_64",
            image=Path("arch/x86/boot/bzImage"),
            debian="amd64",
            cross="x86_64-linux-gnu-",
            user_qemu="qemu-x86_64",
            qemu="qemu-system-x86_64",
            qemu_machine="q35",
            tcg_cpu="max",
            # On a busy host the timer's interrupts come too late for the check, which then panics.
            command_line=("console=ttyS0", "no_timer_check"),
            tpm_devices={"tis": "tpm-tis", "crb": "tpm-crb"},
        ),
        Arch(
            name="arm64",
            machine="aarch64",
            kernel="arm64",
            image=Path("arch/arm64/boot/Image"),
            debian="arm64",
            cross="aarch64-linux-gnu-",
            user_qemu="qemu-aarch64",
            qemu="qemu-system-aarch64",
            qemu_machine="virt",
            tcg_cpu="max,pauth-impdef=on",  # QEMU's own algorithm, which is faster
            command_line=("console=ttyAMA0",),
            tpm_devices={"tis": "tpm-tis-device"},
        ),
        # A big-endian machine.
        Arch(
            name="s390x",
            machine="s390x",
            kernel="s390",
            image=Path("arch/s390/boot/bzImage"),
            debian="s390x",
            cross="s390x-linux-gnu-",
            user_qemu="qemu-s390x",
            qemu="qemu-system-s390x",
            qemu_machine="s390-ccw-virtio",
            tcg_cpu="max",
            command_line=("console=ttysclp0",),
            tpm_devices={},  # QEMU has none for it
            lacks=("IMA_KEXEC", "TCG_TIS"),
        ),
    )
}


def current() -> Arch:
    """The machine that ARCH names; UsageError lists the known ones."""
    name = os.environ.get("ARCH") or "x86_64"
    try:
        return ARCHES[name]
    except KeyError:
        raise UsageError(f"unknown ARCH {name!r}; choose from {', '.join(ARCHES)}") from None
