#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the FUSE view is read, beside plain files of the same bytes.

Makes a store of one segment and a directory in place of securityfs, mounts the
view (as root) and reads both: from beginning to end, and at random offsets.
'first' is the first time after mounting, 'again' when the kernel has the pages.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK = 128 * 1024
RANDOM_READS = 20_000
FILES = (
    "binary_runtime_measurements",
    "ascii_runtime_measurements",
    "binary_runtime_measurements_sha256",
)


def field(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def record(template: bytes, fields: list[bytes]) -> bytes:
    data = b"".join(map(field, fields))
    return struct.pack("<I", 10) + hashlib.sha1(data).digest() + field(template) + field(data)


def records(count: int) -> Iterator[bytes]:
    """124 bytes each, but the first."""
    yield record(b"ima-ng", [b"sha1:\0" + bytes(20), b"boot_aggregate\0"])
    for number in range(1, count):
        name = b"/usr/lib/a-directory/with-file-%06d\0" % number
        yield record(b"ima-ng", [b"sha256:\0" + hashlib.sha256(name).digest(), name])


def make_world(root: Path, count: int) -> tuple[Path, Path]:
    """A store whose segment has COUNT records, and securityfs after its purge."""
    session = root / "store" / "boots" / "00000001"
    ima = root / "securityfs" / "ima"
    session.mkdir(parents=True)
    ima.mkdir(parents=True)
    digest = hashlib.sha256()
    with (session / "00000001.ima").open("wb") as segment:
        batch: list[bytes] = []
        for one in records(count):
            batch.append(one)
            if len(batch) == 4096:
                segment.write(data := b"".join(batch))
                digest.update(data)
                batch.clear()
        segment.write(data := b"".join(batch))
        digest.update(data)
    text = f"Snapshot_Attempt_Count=1;Record_Count={count};Segment_Hash=sha256:{digest.hexdigest()};".encode()
    aggregate = [b"sha256:\0" + hashlib.sha256(text).digest(), b"snapshot_aggregate\0", text]
    (ima / "binary_runtime_measurements").write_bytes(record(b"ima-buf", aggregate))
    (ima / "snapshot").touch()
    return root / "store", root / "securityfs"


def sequential(file: Path) -> int:
    descriptor = os.open(file, os.O_RDONLY)
    done = 0
    while data := os.read(descriptor, CHUNK):
        done += len(data)
    os.close(descriptor)
    return done


def at_offsets(size: int) -> Callable[[Path], int]:
    def read(file: Path) -> int:
        descriptor = os.open(file, os.O_RDONLY)
        end = os.fstat(descriptor).st_size - size
        place = random.Random(1)
        done = 0
        for _ in range(RANDOM_READS * 4096 // size):
            done += len(os.pread(descriptor, size, place.randrange(end)))
        os.close(descriptor)
        return done

    return read


def measure(read: Callable[[Path], int], file: Path) -> float:
    """Bytes a second."""
    begin = time.perf_counter()
    done = read(file)
    return done / (time.perf_counter() - begin)


class View:
    """The program's mount; a context manager."""

    def __init__(self, program: Path, root: Path, store: Path, securityfs: Path) -> None:
        self.directory = root / "view"
        self.directory.mkdir(exist_ok=True)
        config = root / "config"
        config.write_text(f'lock_file = "{root}/lock"\n')
        self.command = [program, "--config", config, "--store", store, "--securityfs", securityfs,
                        "mount", self.directory]  # fmt: skip

    def __enter__(self) -> Path:
        begin = time.perf_counter()
        self.process = subprocess.Popen(self.command)
        while not (self.directory / "runtime_measurements_count").exists():
            if self.process.poll() is not None:
                raise SystemExit("the view was not mounted")
            time.sleep(0.01)
        self.seconds = time.perf_counter() - begin
        return self.directory

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path, help="the program ima-snapshot")
    parser.add_argument("--records", type=int, default=1_000_000)
    arguments = parser.parse_args()
    patterns = {
        "all, 128 KiB a read": sequential,
        "at offsets, 4 KiB": at_offsets(4096),
        "at offsets, 64 KiB": at_offsets(65536),
    }
    with tempfile.TemporaryDirectory(prefix="view-read-") as directory:
        root = Path(directory)
        store, securityfs = make_world(root, arguments.records)
        with (view := View(arguments.program, root, store, securityfs)) as mounted:
            print(f"{arguments.records} records; mounted after {view.seconds:.1f} s")
            for name in FILES:
                (root / name).write_bytes((mounted / name).read_bytes())
        print(f"{'file':36}{'pattern':22}{'plain':>12}{'first':>12}{'again':>12}   plain/first  plain/again")
        for name in FILES:
            for pattern, read in patterns.items():
                read(root / name)
                plain = measure(read, root / name)
                with View(arguments.program, root, store, securityfs) as mounted:
                    first = measure(read, mounted / name)
                    again = measure(read, mounted / name)
                rates = "".join(f"{rate / 1e6:8.0f} MB/s" for rate in (plain, first, again))
                print(f"{name:36}{pattern:22}{rates}{plain / first:12.1f}{plain / again:12.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
