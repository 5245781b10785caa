# SPDX-License-Identifier: GPL-2.0-or-later
"""An ext4 disk for the guest's /disk: a size for a fresh one, a file's name to keep it."""

from __future__ import annotations

import re
from pathlib import Path

from . import process
from .errors import UsageError

_DEFAULT_BYTES = 256 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_of(text: str) -> int | None:
    """The bytes that '64M' or '1G' name; None if TEXT is no size."""
    found = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def prepare(wanted: str, directory: Path) -> Path:
    """The disk that WANTED asks for: FILE, FILE:SIZE or SIZE; made and formatted if it is not there."""
    name, colon, size = wanted.rpartition(":")
    if colon and size_of(size) is not None:
        file, size_bytes = Path(name), size_of(size)
    elif size_of(wanted) is not None:
        file, size_bytes = directory / "disk.img", size_of(wanted)
    else:
        file, size_bytes = Path(wanted), _DEFAULT_BYTES
    if file.exists():
        return file.absolute()
    if not size_bytes or size_bytes < 1 << 20:
        raise UsageError(f"--disk {wanted}: a disk has 1M at least")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        out.truncate(size_bytes)
    process.output(["/sbin/mkfs.ext4", "-q", "-E", "lazy_itable_init=0", file])
    return file.absolute()


def holding(directory: Path, image: Path, size: str) -> Path:
    """An ext4 disk of SIZE in the file IMAGE with all that is in DIRECTORY, as it is there."""
    process.output(["/sbin/mkfs.ext4", "-q", "-d", directory, image, size])
    return image
