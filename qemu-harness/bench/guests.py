# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the guest's programs, run its scripts and parse what they print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from imaharness import accel, kernel, paths, process
from imaharness.bases import DEFAULT_BASE, find_base
from imaharness.errors import HarnessError
from imaharness.guest import GuestResult, GuestSpec, run_guest
from imaharness.image import Copy
from imaharness.tpm import TpmSpec

_HERE = Path(__file__).resolve().parent
_BUILD = paths.BUILD / "bench"
_PLACE = "/bench"


class Sha256(Enum):
    """The kernel's code for SHA-256, as what to add to its command line.

    CONFIG_CRYPTO_LIB_SHA256_ARCH cannot be switched off on x86-64. Its code is used
    only if the CPU has the instructions. TCG emulates vector instructions slowly, so
    that the code for them may be the slower one there.
    """

    PLAIN = "clearcpuid=sha_ni,avx2,avx,ssse3"
    ARCH = ""


_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Setup:
    """What all guests of one benchmark share."""

    base: str = DEFAULT_BASE
    ksrc: Path | None = None
    accel: str = "auto"
    images: dict[str, Path] = field(default_factory=dict)  # by flavour, bzImages that are not built here

    def image(self, flavour: str) -> Path:
        """The flavour's bzImage, built if it is not given."""
        if flavour in self.images:
            return self.images[flavour]
        return kernel.build(find_base(self.base), kernel.find_flavour(flavour), self.ksrc)


@dataclass(frozen=True)
class Found:
    """The results of one script."""

    objects: list[dict[str, Any]]
    out: Path

    def of(self, what: str, **wanted: Any) -> list[dict[str, Any]]:
        """The objects of one kind that have these values."""
        return [o for o in self.objects if o["what"] == what and all(o.get(k) == v for k, v in wanted.items())]


def build_programs() -> list[Path]:
    """The guest's programs, static, so that they run in any guest."""
    _BUILD.mkdir(parents=True, exist_ok=True)
    programs = []
    for source in sorted((_HERE / "guest").glob("*.c")):
        program = _BUILD / source.stem
        process.output(["gcc", *_FLAGS, "-static", "-o", program, source])
        programs.append(program)
    return programs


def run(
    setup: Setup,
    script: str,
    arguments: Sequence[str],
    *,
    flavour: str = "patched",
    tpm: TpmSpec | None = None,
    append: Sequence[str] = (),
    sha256: Sha256 | None = None,  # else PLAIN if emulated
    timeout: float = 400.0,
    memory_mib: int = 1024,
    disk: str | None = None,
) -> Found:
    """Boot FLAVOUR and run one of guest/*.sh in it; HarnessError if that fails."""
    image = setup.image(flavour)
    if sha256 is None:
        sha256 = Sha256.PLAIN if accel.choose(setup.accel, image) == "tcg" else Sha256.ARCH
    copies = [Copy(p, f"{_PLACE}/{p.name}") for p in build_programs()]
    copies.append(Copy(_HERE / "guest" / script, f"{_PLACE}/{script}"))
    spec = GuestSpec(
        command=[f"{_PLACE}/{script}", *arguments],
        base=setup.base,
        flavour=flavour,
        kernel=image,
        accel=setup.accel,
        tpm=tpm or TpmSpec(version="none"),
        append=[*append, *sha256.value.split()],
        policy=_HERE / "guest" / "policy",
        copies=copies,
        timeout=timeout,
        memory_mib=memory_mib,
        disk=disk,
        name=f"bench-{Path(script).stem}-{flavour}",
    )
    result = run_guest(spec)
    if not result.ok:
        raise HarnessError(_complaint(script, flavour, result))
    text = (result.out / "results").read_text()
    return Found([json.loads(line) for line in text.splitlines()], result.out)


def _complaint(script: str, flavour: str, result: GuestResult) -> str:
    message = result.stderr.decode(errors="replace").strip()
    return f"{script} on {flavour}: status {result.status}: {message}\n{result.explain()}"
