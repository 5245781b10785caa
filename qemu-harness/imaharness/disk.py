# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk for the guest's /disk: a size makes a new one, a file's name keeps it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import process
from .errors import UsageError

_DEFAULT_BYTES = 256 << 20
_SBIN = "/sbin:/usr/sbin"
_MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-E", "lazy_itable_init=0"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}
FILE_SYSTEMS = tuple(_MKFS)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_of(text: str) -> int | None:
    """The bytes in a size such as '64M' or '1G'; None if TEXT is not a size."""
    found = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def locate(wanted: str, directory: Path) -> tuple[Path, int]:
    """The file that WANTED (FILE, FILE:SIZE or SIZE) names, and its size if it does not exist yet."""
    name, colon, size = wanted.rpartition(":")
    if colon and (size_bytes := size_of(size)) is not None:
        return Path(name).absolute(), size_bytes
    if (size_bytes := size_of(wanted)) is not None:
        return (directory / "disk.img").absolute(), size_bytes
    return Path(wanted).absolute(), _DEFAULT_BYTES


def reason_against(file_system: str) -> str | None:
    """Why no disk can have FILE_SYSTEM here, or None."""
    program = _MKFS[file_system][0]
    return None if shutil.which(program, path=_SBIN) else f"{program} is not installed"


def prepare(wanted: str, directory: Path, file_system: str = "ext4") -> Path:
    """The disk that WANTED asks for; make and format it if it does not exist."""
    file, size_bytes = locate(wanted, directory)
    if file.exists():
        return file
    if size_bytes < 1 << 20:
        raise UsageError(f"--disk {wanted}: a disk needs at least 1M")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        out.truncate(size_bytes)
    program, *options = _MKFS[file_system]
    process.output([f"/sbin/{program}", *options, file])
    return file


def holding(directory: Path, image: Path, size: str) -> Path:
    """Make IMAGE an ext4 disk of SIZE with the contents of DIRECTORY."""
    process.output(["/sbin/mkfs.ext4", "-q", "-d", directory, image, size])
    return image
