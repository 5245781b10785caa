# SPDX-License-Identifier: GPL-2.0-or-later
"""Write initramfs archives (cpio 'newc', Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO


class CpioWriter:
    """Writes entries in the order given and adds missing parents; root owns all of them."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._inode = 0
        self._made: set[str] = set()

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Add directory NAME (an absolute guest path) and its parents, each once."""
        parts = name.strip("/").split("/") if name.strip("/") else []
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path not in self._made:
                self._made.add(path)
                self._entry(path, stat.S_IFDIR | (mode if depth == len(parts) else 0o755), b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add regular file NAME with DATA. If two files have the same name, the guest gets the second."""
        self._parents(name)
        self._entry(name.strip("/"), stat.S_IFREG | mode, data)

    def copy(self, name: str, source: Path) -> None:
        """Add the regular file SOURCE as NAME with its permissions."""
        self.file(name, source.read_bytes(), stat.S_IMODE(source.stat().st_mode) | 0o400)

    def symlink(self, name: str, target: str) -> None:
        self._parents(name)
        self._entry(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add character device NAME."""
        self._parents(name)
        self._entry(name.strip("/"), stat.S_IFCHR | mode, b"", (major, minor))

    def close(self) -> None:
        """End the archive; the file stays open."""
        self._entry("TRAILER!!!", 0, b"")
        self._out.write(b"\0" * (-self._out.tell() % 512))

    def _parents(self, name: str) -> None:
        self.directory(name.rstrip("/").rpartition("/")[0])

    def _entry(self, name: str, mode: int, data: bytes, rdev: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (
            self._inode, mode, 0, 0, links, 0, len(data), 0, 0, rdev[0], rdev[1], len(encoded), 0,
        )  # fmt: skip
        self._out.write(b"070701" + b"".join(b"%08X" % f for f in fields) + encoded)
        self._out.write(b"\0" * (-self._out.tell() % 4))
        self._out.write(data)
        self._out.write(b"\0" * (-self._out.tell() % 4))
