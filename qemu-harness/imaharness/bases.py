# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that the series is written for."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UsageError


@dataclass(frozen=True)
class Base:
    """One supported kernel and where its source is published."""

    name: str
    version: str  # the release that the series is based on
    debian_suites: tuple[str, ...]  # suites that may hold linux-source-<series>
    minimum: str = ""  # the first point release to which the series applies
    lacks: tuple[str, ...] = ()  # options that the harness asks for and this kernel does not have

    @property
    def series(self) -> str:
        return self.name.removeprefix("v")

    @property
    def debian_package(self) -> str:
        return f"linux-source-{self.series}"

    @property
    def upstream_dir(self) -> str:
        major = self.version.split(".")[0]
        return f"https://cdn.kernel.org/pub/linux/kernel/v{major}.x"

    @property
    def upstream_tarball(self) -> str:
        return f"linux-{self.version}.tar.xz"


BASES = {
    base.name: base
    for base in (
        Base("v7.3", "7.3.4", ("trixie-backports",), lacks=("CRYPTO_SM3_GENERIC", "PROC_SYSCTL")),
        Base(
            "v6.12",
            "6.12.117",
            ("trixie", "bookworm-backports"),
            # The first one that copies the list for the next kernel at kexec execute, not at load.
            minimum="6.12.94",
            lacks=(
                "CRYPTO_LIB_SHA256_ARCH",
                "IMA_INIT_LATE_SYNC",
                "IMA_STAGING",
                "KUNIT_AUTORUN_ENABLED",
                "PREEMPT_LAZY",
            ),
        ),
    )
}
DEFAULT_BASE = "v7.3"


def find_base(name: str) -> Base:
    """The base called NAME; UsageError lists the known ones."""
    try:
        return BASES[name]
    except KeyError:
        raise UsageError(f"unknown base {name!r}; choose from {', '.join(BASES)}") from None
