# SPDX-License-Identifier: GPL-2.0-or-later
"""A bare Debian of this machine's own suite in a directory, to install packages into."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from . import apt, paths, process
from .errors import HarnessError

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TOOLS = ("mmdebstrap", "unshare", "chroot", "tar")


def missing() -> str:
    """Why there can be no such directory here; empty when there can."""
    if os.geteuid() != 0:
        return "a chroot needs root"
    if absent := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(absent)} is not installed"
    if _release().get("ID") != "debian":
        return "this machine runs no Debian"
    return ""


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _network_options() -> list[str]:
    """How this machine's apt reaches its mirrors: proxies and the like."""
    lines = process.output(["apt-config", "dump", "Acquire"]).splitlines()
    return [f"--aptopt={line}" for line in lines if line.startswith(("Acquire::http", "Acquire::Retries"))]


def tarball(packages: list[str]) -> Path:
    """The system with PACKAGES as a tar file, made once and kept in build/downloads."""
    suite = _release()["VERSION_CODENAME"]
    key = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]
    made = paths.DOWNLOADS / f"chroot-{suite}-{key}.tar"
    if made.exists():
        return made
    paths.DOWNLOADS.mkdir(parents=True, exist_ok=True)
    log = paths.DOWNLOADS / f"{made.stem}.log"
    partial = made.with_suffix(f".{os.getpid()}.tar")
    signed_by = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    complaints = []
    print(f"package: installing a bare {suite}, log in {log}", flush=True)
    for mirror in apt.mirrors():
        options = ["--variant=essential", f"--include={','.join(packages)}", *_network_options()]
        argv = ["mmdebstrap", *options, suite, partial, f"deb {signed_by}{mirror} {suite} main"]
        try:
            process.logged(argv, log=log)
        except HarnessError as e:
            complaints.append(str(e))
            partial.unlink(missing_ok=True)
            continue
        partial.rename(made)
        return made
    raise HarnessError("; ".join(complaints) or "apt has no Debian source configured")


class Chroot:
    """A directory with such a system; what runs in it ends with the command that started it."""

    def __init__(self, root: Path, archive: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        process.output(["tar", "-C", root, "--numeric-owner", "-xf", archive])

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """ARGV inside, its output and errors as one text; /proc is there, services are not."""
        return subprocess.run(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"),
                *("chroot", self.root, *argv),
            ],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )

    def install(self, deb: Path) -> None:
        """Install the package DEB; HarnessError with what dpkg says when it fails."""
        shutil.copy(deb, self.path("/tmp"))
        done = self.run("dpkg", "--install", f"/tmp/{deb.name}")
        if done.returncode != 0:
            raise HarnessError(f"dpkg --install: {done.stdout}")

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")
