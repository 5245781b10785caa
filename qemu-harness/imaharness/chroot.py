# SPDX-License-Identifier: GPL-2.0-or-later
"""Minimal Debian systems in directories, to build in and to install packages into."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import apt, paths, process
from .errors import HarnessError

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TOOLS = ("mmdebstrap", "unshare", "chroot", "tar")


def missing() -> str:
    """Why this machine cannot make a chroot; empty if it can."""
    if os.geteuid() != 0:
        return "a chroot needs root"
    if absent := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"not installed: {', '.join(absent)}"
    if _release().get("ID") != "debian":
        return "this machine does not run Debian"
    return ""


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def release() -> str:
    """The name of this machine's Debian release; HarnessError if it runs another system."""
    if _release().get("ID") != "debian":
        raise HarnessError("this machine does not run Debian")
    return _release()["VERSION_CODENAME"]


def _network_options() -> list[str]:
    """The settings with which this machine's apt reaches its mirrors, for example proxies."""
    lines = process.output(["apt-config", "dump", "Acquire"]).splitlines()
    return [f"--aptopt={line}" for line in lines if line.startswith(("Acquire::http", "Acquire::Retries"))]


def bootstrap(
    suite: str, variant: str, packages: Sequence[str], into: Path, log: Path, architecture: str = ""
) -> None:
    """Install SUITE with PACKAGES into INTO, a tar file or a directory that does not exist yet."""
    partial = into.with_name(f"{os.getpid()}.{into.name}")
    signed_by = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    options = [f"--variant={variant}", f"--include={','.join(packages)}", *_network_options()]
    if architecture:
        options.append(f"--architectures={architecture}")
    # On a frozen mirror, the lists of sid have expired. Signatures are still checked.
    options.append('--aptopt=Acquire::Check-Valid-Until "false";')
    complaints = []
    for mirror in apt.mirrors():
        argv: list[str | Path] = ["mmdebstrap", *options, suite, partial, f"deb {signed_by}{mirror} {suite} main"]
        try:
            process.logged(argv, log=log)
        except HarnessError as e:
            complaints.append(str(e))
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink(missing_ok=True)
            continue
        partial.rename(into)
        return
    raise HarnessError("; ".join(complaints) or "apt has no Debian source configured")


def tarball(packages: list[str]) -> Path:
    """A tar file of this machine's Debian release with PACKAGES, made once and kept in build/downloads."""
    suite = _release()["VERSION_CODENAME"]
    key = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]
    made = paths.DOWNLOADS / f"chroot-{suite}-{key}.tar"
    if not made.exists():
        paths.DOWNLOADS.mkdir(parents=True, exist_ok=True)
        log = paths.DOWNLOADS / f"{made.stem}.log"
        print(f"package: installing a bare {suite}, log in {log}", flush=True)
        bootstrap(suite, "essential", packages, made, log)
    return made


class Chroot:
    """A directory with such a system. Processes in it end with the command that started them."""

    def __init__(self, root: Path, archive: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        process.output(["tar", "-C", root, "--numeric-owner", "-xf", archive])

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run ARGV inside, with /proc and without services. 'stdout' has its output and its errors."""
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        return subprocess.run(
            [*apart, "chroot", str(self.root), *argv],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )

    def install(self, deb: Path) -> None:
        """Install the package DEB. If that fails, HarnessError has dpkg's output."""
        shutil.copy(deb, self.path("/tmp"))
        done = self.run("dpkg", "--install", f"/tmp/{deb.name}")
        if done.returncode != 0:
            raise HarnessError(f"dpkg --install: {done.stdout}")

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")
