# SPDX-License-Identifier: GPL-2.0-or-later
"""Watch a guest's console for the kernel's reports of trouble."""

from __future__ import annotations

import re

# Each of these reports fails a run, even if the command succeeded. The kernel's
# time stamp and caller (printk.time, PRINTK_CALLER) may precede it.
_PREFIX = r"^(?:<\d+>)?(?:\[ *\d+\.\d+\])? ?(?:\[ *[TC]\d+\])? ?"
_LINE_START = (
    r"Kernel panic - not syncing",
    r"Oops\b",
    r"BUG: ",
    r"WARNING: ",
    r"general protection fault",
    r"kernel BUG at ",
    r"INFO: (?:possible|inconsistent|trying to register|task |rcu)",
    r"UBSAN: ",
    r"KASAN: ",
    r"kmemleak: \d+ new suspected memory leaks",
    r"unreferenced object 0x",
    r"refcount_t: ",
    r"(?:list_add|list_del) corruption",
    r"watchdog: BUG: ",
    r"kfence: ",
    r"rcu: INFO: rcu",
    r"DEBUG_LOCKS_WARN_ON",
    r"stack-protector: ",
)
_REPORT = re.compile(_PREFIX + "(?:" + "|".join(_LINE_START) + ")")
_ANYWHERE = re.compile(r"\[ (?:cut here|BUG:) \]|suspicious RCU usage|circular locking dependency detected")
_PANIC = re.compile(_PREFIX + r"Kernel panic - not syncing")


class ConsoleWatcher:
    """Reads the console in pieces of any size and keeps the lines that report trouble."""

    def __init__(self) -> None:
        self._rest = b""
        self.reports: list[str] = []
        self.panicked = False

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def close(self) -> None:
        """The console ended: check the last line even if it has no newline."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").strip("\r")
        if _REPORT.search(line) or _ANYWHERE.search(line):
            self.reports.append(line.strip())
        if _PANIC.search(line):
            self.panicked = True
