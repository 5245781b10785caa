# SPDX-License-Identifier: GPL-2.0-or-later
"""What was reached in the kernel's new files, by KCOV (Documentation/dev-tools/kcov.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import process

FILES = ("ima_snapshot", "ima_snapshot_measure", "ima_snapshot_record")
# Arguments of make: instrument these files, and describe their lines.
ARGUMENTS = tuple(f"{what}_{name}.o={value}" for name in FILES for what, value in (("KCOV_INSTRUMENT", "y"), ("CFLAGS", "-g")))
_AT_BOOT = "runs at boot, before a program can ask for coverage"
_AFTER_KEXEC = "runs at boot after a kexec: KUnit, e2e test_kexec.py"
_TOO_LONG = "a text that is too long: KUnit, selftests with the setting 'template'"
# Function: why the fuzzer does not reach all of it, and which test does.
REASONS = {
    "ima_snapshot_fs_init": _AT_BOOT,
    "ima_snapshot_max_text": _AT_BOOT,
    "ima_snapshot_restore": _AFTER_KEXEC,
    "ima_snapshot_parse_counts": _AFTER_KEXEC,
    "parse_count": _AFTER_KEXEC,
    "complete_aggregate": _TOO_LONG,
    "ima_snapshot_format": _TOO_LONG,
    "hash_records": "needs 256 records between two snapshots: selftests snapshot_read_test",
}
_CALL = re.compile(r"^\s*([0-9a-f]+):\s+call\S*\s+[0-9a-f]+ <__sanitizer_cov_trace_pc>")
_ADDRESS = re.compile(r"^\s*([0-9a-f]+):")


@dataclass(frozen=True, order=True)
class Place:
    """The first line of a block of code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        reason = REASONS.get(self.function)
        return f"{self.file}:{self.line} {self.function}()" + (f": {reason}" if reason else "")


def sites(disassembly: str) -> list[int]:
    """The addresses that KCOV reports for the calls in the output of objdump -d: each is behind its call."""
    found = []
    after_call = False
    for line in disassembly.splitlines():
        if after_call and (address := _ADDRESS.match(line)) is not None:
            found.append(int(address.group(1), 16))
            after_call = False
        if _CALL.match(line):
            after_call = True
    return found


def places(vmlinux: Path, addresses: Iterable[int]) -> dict[int, Place]:
    """The line of each address, in the source that was compiled, not in the header that was inlined."""
    wanted = sorted(addresses)
    if not wanted:
        return {}
    # The call is before the address.
    argv: list[str | Path] = ["addr2line", "-f", "-i", "-a", "-e", vmlinux, *(f"{address - 1:x}" for address in wanted)]
    found: dict[int, Place] = {}
    lines = process.output(argv).splitlines()
    address = 0
    for number, line in enumerate(lines):
        if line.startswith("0x"):
            address = int(line, 16) + 1
        elif (place := re.match(r"(?:.*/)?([\w.]+):(\d+)", line)) is not None:
            # The last of the inlined frames is that of the function itself.
            if Path(place.group(1)).stem in FILES:
                found[address] = Place(place.group(1), int(place.group(2)), lines[number - 1])
    return found


def unreached(vmlinux: Path, reached: Iterable[int]) -> tuple[list[Place], int]:
    """The places that were not reached, and how many there are in all."""
    every = sites(process.output(["objdump", "-d", "--no-show-raw-insn", vmlinux]))
    where = places(vmlinux, every)
    hit = {where[address] for address in reached if address in where}
    return sorted(set(where.values()) - hit), len(set(where.values()))
