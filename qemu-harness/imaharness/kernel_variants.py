# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the folders that the series touches for other architectures and configurations.

Only these folders are built, not the whole kernel. Any warning in them fails.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import kernel, paths, process, warnings_log
from .errors import HarnessError
from .stepped import SteppedTree

_FRAGMENTS = ("base", "ima", "kunit", "snapshot")


@dataclass(frozen=True)
class Variant:
    """What to build, and which settings show that the configuration is the one that is meant."""

    name: str  # also of its object directory
    arch: str = "x86_64"
    cross: str = ""  # prefix of a cross compiler's programs
    fragments: tuple[str, ...] = _FRAGMENTS  # none: allmodconfig
    required: tuple[str, ...] = ()

    @property
    def compiler(self) -> str:
        return f"{self.cross}gcc" if self.cross else os.environ.get("KCC", "gcc")

    @property
    def files(self) -> list[Path]:
        machine = {"arm64": ("arm64",)}.get(self.arch, ("x86_64",))  # of which um and i386 are kinds
        return [paths.CONFIGS / f"{name}.config" for name in (*machine, *self.fragments)] if self.fragments else []

    def missing(self) -> str:
        """Why this machine cannot build it, or ''."""
        return "" if shutil.which(self.compiler) else f"{self.compiler} is not installed; run 'make deps'"

    def identity(self) -> bytes:
        """What changes if its result can differ for the same source."""
        parts = [repr(self).encode(), process.output([self.compiler, "--version"]).encode(), Path(__file__).read_bytes()]
        return b"".join([*parts, *(f.read_bytes() for f in self.files)])


VARIANTS = (
    Variant("i386", "i386", required=("CONFIG_X86_32=y", "CONFIG_TCG_TPM=y")),
    Variant("arm64", "arm64", "aarch64-linux-gnu-", required=("CONFIG_ARM64=y", "CONFIG_TCG_TPM=y")),
    Variant("IMA_KEXEC=n", fragments=(*_FRAGMENTS, "nokexec"), required=("CONFIG_IMA_KEXEC=n",)),
    Variant("IMA_DISABLE_HTABLE=y", fragments=(*_FRAGMENTS, "nohtable"), required=("CONFIG_IMA_DISABLE_HTABLE=y",)),
    Variant("TCG_TPM=n", "um", fragments=(*_FRAGMENTS, "notpm"), required=("CONFIG_TCG_TPM=n",)),
    Variant("allmodconfig", fragments=()),
)


def build(variant: Variant, tree: SteppedTree, targets: Sequence[str]) -> list[str]:
    """Build TARGETS, folders or objects, in the tree's current state. Return the warnings about them."""
    obj = tree.src / f"{kernel.OBJECTS}{variant.name.replace('=', '-')}"
    log = tree.top / f"{variant.name}.log"
    log.unlink(missing_ok=True)
    arguments = [f"ARCH={variant.arch}"]
    if variant.cross:
        arguments += [f"CROSS_COMPILE={variant.cross}", *kernel.compiler(variant.compiler)]
    if variant.fragments:
        if variant.arch == "x86_64" and not obj.exists():
            kernel.copy_objects(tree.objects, obj)
        kernel.merge(tree.src, obj, variant.files, log, arguments)
    else:
        kernel.make(tree.src, obj, [*arguments, "allmodconfig"], log)
    final = kernel.requested([obj / ".config"])
    for wanted in ("CONFIG_IMA_SNAPSHOT=y", *variant.required):
        name, _, value = wanted.partition("=")
        if final.get(name, "n") != value:
            raise HarnessError(f"the configuration refuses {wanted}; see {log}")
    for name in targets:  # rebuild all of them, to see all warnings
        for built in obj.glob(f"{name}*.o" if name.endswith("/") else name):
            built.unlink()
    kernel.make(tree.src, obj, [*arguments, "-Otarget", *targets], log)
    found = warnings_log.by_object(log.read_text(errors="replace"))
    places = tuple(name.removesuffix(".o") for name in targets)
    return [f"{name}: {line}" for name, lines in found.items() if name.startswith(places) for line in lines]
