# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the warnings of each object in the output of a kernel build, and which are new."""

from __future__ import annotations

import re
from collections import Counter

# With make's -Otarget a step's warnings follow the line that names it.
_STEP = re.compile(r"^  (?:CC|CHECK|AS|AR|LD|CALL|UPD|GEN|HOSTCC|HOSTLD|DESCEND|INSTALL)\s+(?:\[M\]\s+)?(\S+)")
_WARNING = re.compile(r"(?:warning|error): ")
_PLACE = re.compile(r":\d+(?::\d+)?:")

Warnings = dict[str, list[str]]


def by_object(log: str) -> Warnings:
    """The warnings of each source file that was compiled or checked, without line numbers."""
    found: Warnings = {}
    current = ""
    for line in log.splitlines():
        if step := _STEP.match(line):
            name = re.sub(r"\.[oc]$", "", step.group(1).removeprefix("../"))
            current = name
            found.setdefault(current, [])
        elif _WARNING.search(line):
            found.setdefault(current, []).append(_PLACE.sub(":", line.removeprefix("../")))
    return found


def new(before: Warnings, after: Warnings) -> list[str]:
    """The warnings that an object has more often than before."""
    found = []
    for name, lines in after.items():
        more = Counter(lines) - Counter(before.get(name, []))
        found += [f"{name}: {line}" for line in more.elements()]
    return found
