# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package of userspace/: built from a copy of the tree, without network."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from . import lint, paths, process
from .errors import HarnessError

_SOURCE = paths.ROOT / "userspace"
DEB_BUILD = paths.BUILD / "deb"
NAME = "ima-snapshot"
# systemd mounts with mount(8) and filters system calls with libseccomp. The package of
# systemd 262 only recommends them.
_SYSTEMD = ("systemd", "mount", "libseccomp2")


def version() -> str:
    """The version in CMakeLists.txt; HarnessError if the changelog does not begin with it."""
    found = re.search(r"^project\(ima-snapshot VERSION (\S+)", (_SOURCE / "CMakeLists.txt").read_text(), re.M)
    if found is None:
        raise HarnessError("userspace/CMakeLists.txt: project() gives no version")
    newest = re.match(r"ima-snapshot \(([^)]+)\)", (_SOURCE / "debian" / "changelog").read_text())
    if newest is None or newest[1] != found[1]:
        raise HarnessError(
            f"userspace/debian/changelog: begins with {newest[1] if newest else 'no version'}, CMakeLists.txt "
            f"says {found[1]}: add an entry for that version"
        )
    return found[1]


def _files() -> list[Path]:
    """All files that git does not ignore, committed or not: the package is built from the tree as it is."""
    return [file for file in lint.tracked_files() if file.is_relative_to(_SOURCE)]


def _export(into: Path) -> None:
    for file in _files():
        to = into / file.relative_to(_SOURCE)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, to)


def _digest() -> str:
    digest = hashlib.sha256()
    for file in _files():
        digest.update(f"{file} {file.stat().st_mode:o}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _environment() -> dict[str, str]:
    """Build without tests, which 'make check' runs, and without debug symbols."""
    env = {
        "DEB_BUILD_OPTIONS": f"nocheck noautodbgsym parallel={len(os.sched_getaffinity(0))}",
        "DEB_BUILD_PROFILES": "nocheck",
        "DEB_CXXFLAGS_STRIP": "-g",
    }
    if shutil.which("ccache"):
        env["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
        # debhelper changes HOME, so ccache would not find its directory.
        env["CCACHE_DIR"] = process.output(["ccache", "--get-config", "cache_dir"]).strip()
    return env


def architecture() -> str:
    return process.output(["dpkg", "--print-architecture"]).strip()


def build(verbose: bool = False) -> Path:
    """Build build/deb/ima-snapshot_VERSION_ARCH.deb and the source package beside it."""
    number = version()
    tree = DEB_BUILD / f"{NAME}-{number}"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    _export(tree)
    log = DEB_BUILD / "build.log"
    log.unlink(missing_ok=True)
    print(f"deb: building, log in {log}", flush=True)
    process.logged(["dpkg-buildpackage", "-us", "-uc"], log=log, cwd=tree, env=_environment(), verbose=verbose)
    deb = DEB_BUILD / f"{NAME}_{number}_{architecture()}.deb"
    if not deb.is_file():
        raise HarnessError(f"dpkg-buildpackage did not make {deb}; see {log}")
    shutil.rmtree(tree)
    return deb


def built() -> Path:
    """The package of the tree as it is, built if necessary."""
    deb = DEB_BUILD / f"{NAME}_{version()}_{architecture()}.deb"
    stamp = DEB_BUILD / "stamp"
    wanted = _digest()
    if not (deb.is_file() and stamp.is_file() and stamp.read_text() == wanted):
        stamp.unlink(missing_ok=True)
        deb = build()
        stamp.write_text(wanted)
    return deb


def dependencies(deb: Path) -> list[str]:
    """The packages that DEB needs: the first alternative of each dependency, and those of systemd."""
    listed = process.output(["dpkg-deb", "--field", deb, "Depends"])
    return sorted({*_SYSTEMD, *(re.split(r"[ |(:]", item.strip())[0] for item in listed.split(","))})


def repack(deb: Path, number: str, replace: dict[str, str], into: Path) -> Path:
    """A copy of the package with version NUMBER and with new text in some files."""
    tree = into / f"repack-{number}"
    process.output(["dpkg-deb", "--raw-extract", deb, tree])
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {number}", control.read_text(), flags=re.M))
    for name, text in replace.items():
        (tree / name).write_text(text)
    made = into / f"{NAME}_{number}_{architecture()}.deb"
    process.output(["dpkg-deb", "--root-owner-group", "--build", tree, made])
    shutil.rmtree(tree)
    return made
