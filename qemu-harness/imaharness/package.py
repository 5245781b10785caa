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


def version() -> str:
    """The version that CMakeLists.txt gives the project; the changelog has to have it too."""
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
    """What git does not ignore, committed or not: what is built is what is in the tree."""
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
    """Without tests, which 'make check' runs, and without a package of debugging symbols."""
    env = {
        "DEB_BUILD_OPTIONS": f"nocheck noautodbgsym parallel={len(os.sched_getaffinity(0))}",
        "DEB_BUILD_PROFILES": "nocheck",
        "DEB_CXXFLAGS_STRIP": "-g",
    }
    if shutil.which("ccache"):
        env["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
        # debhelper gives a build another HOME.
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
        raise HarnessError(f"dpkg-buildpackage made no {deb}; see {log}")
    shutil.rmtree(tree)
    return deb


def built() -> Path:
    """The package of the tree as it is, which is built unless it is there."""
    deb = DEB_BUILD / f"{NAME}_{version()}_{architecture()}.deb"
    stamp = DEB_BUILD / "stamp"
    wanted = _digest()
    if not (deb.is_file() and stamp.is_file() and stamp.read_text() == wanted):
        stamp.unlink(missing_ok=True)
        deb = build()
        stamp.write_text(wanted)
    return deb


def dependencies(deb: Path) -> list[str]:
    """What a system must have before DEB is installed: the first choice of each dependency, and systemd."""
    listed = process.output(["dpkg-deb", "--field", deb, "Depends"])
    return sorted({"systemd", *(re.split(r"[ |(:]", item.strip())[0] for item in listed.split(","))})


def repack(deb: Path, number: str, replace: dict[str, str], into: Path) -> Path:
    """The package once more as version NUMBER, the text of some of its files replaced."""
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
