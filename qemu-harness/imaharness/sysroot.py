# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian for another machine, unpacked and not installed.

It has the libraries and headers to build the programs with, and the tools that the
guest gets. On this machine only the unit tests are run, by QEMU.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import arch, chroot, paths, process
from .errors import HarnessError

# As in scripts/packages, and what the guest gets besides.
_TO_BUILD = ("libc6-dev", "libssl-dev", "libtss2-dev", "libfuse3-dev", "libarchive-dev", "libsystemd-dev",
             "libfmt-dev", "nlohmann-json3-dev", "libcli11-dev", "libtomlplusplus-dev", "libcap-dev",
             "libgtest-dev", "libgmock-dev")  # fmt: skip
_TO_RUN = ("busybox-static", "tpm2-tools", "ima-evm-utils", "kexec-tools", "attr", "util-linux", "libstdc++6", "libgcc-s1")


def directory() -> Path:
    """build/<ARCH>/sysroot, made if it is not there."""
    made = paths.BUILD / "sysroot"
    if not made.exists():
        target = arch.current()
        paths.BUILD.mkdir(parents=True, exist_ok=True)
        log = paths.BUILD / "sysroot.log"
        print(f"sysroot: unpacking Debian's packages for {target.name}, log in {log}", flush=True)
        chroot.bootstrap(chroot.release(), "extract", [*_TO_BUILD, *_TO_RUN], made, log, target.debian)
    return made


def triplet() -> str:
    return f"{arch.current().machine}-linux-gnu"


def cmake_options() -> list[str]:
    """What cmake needs to build for the machine."""
    root = directory()
    return [
        "-DCMAKE_SYSTEM_NAME=Linux",
        f"-DCMAKE_SYSTEM_PROCESSOR={arch.current().machine}",
        f"-DCMAKE_SYSROOT={root}",
        f"-DCMAKE_CXX_COMPILER={arch.current().program('g++')}",
        f"-DCMAKE_LIBRARY_ARCHITECTURE={triplet()}",
        f"-DCMAKE_CROSSCOMPILING_EMULATOR={arch.current().user_qemu};-L;{root}",
        "-DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER",
        *(f"-DCMAKE_FIND_ROOT_PATH_MODE_{kind}=ONLY" for kind in ("LIBRARY", "INCLUDE", "PACKAGE")),
    ]


def environment() -> dict[str, str]:
    """What pkg-config needs to find the libraries of the machine."""
    root = directory()
    places = (root / "usr/lib" / triplet() / "pkgconfig", root / "usr/share/pkgconfig")
    return {"PKG_CONFIG_SYSROOT_DIR": str(root), "PKG_CONFIG_LIBDIR": ":".join(map(str, places))}


def program(name: str) -> Path | None:
    """The program NAME for the guest, or None."""
    for place in ("bin", "sbin", "usr/bin", "usr/sbin"):
        if (found := directory() / place / name).exists():
            return found
    return None


def _place_of(library: str) -> str:
    """The path in the guest of a library."""
    for place in (f"lib/{triplet()}", f"usr/lib/{triplet()}", "lib", "usr/lib"):
        if (directory() / place / library).exists():
            return f"/{place}/{library}"
    raise HarnessError(f"{directory()} has no {library}")


def library(name: str) -> dict[str, Path]:
    """A library and those that it needs: guest path to file."""
    place = _place_of(name)
    file = (directory() / place.lstrip("/")).resolve()
    return {place: file, **libraries(file)}


def libraries(program: Path) -> dict[str, Path]:
    """The shared libraries of PROGRAM and its loader: guest path to file."""
    found: dict[str, Path] = {}
    waiting = [program]
    while waiting:
        output = process.output([arch.current().program("readelf"), "-d", "-l", waiting.pop()])
        loader = re.findall(r"program interpreter: (\S+)\]", output)
        for name in (Path(path).name for path in loader + re.findall(r"\(NEEDED\)\s+Shared library: \[(\S+)\]", output)):
            place = _place_of(name)
            if place not in found:
                found[place] = (directory() / place.lstrip("/")).resolve()
                waiting.append(found[place])
        for path in loader:  # the kernel looks for it there
            found[path] = (directory() / _place_of(Path(path).name).lstrip("/")).resolve()
    return found
