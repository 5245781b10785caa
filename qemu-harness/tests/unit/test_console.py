# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines on a console fail a run."""

from __future__ import annotations

import unittest

import support  # noqa: F401
from imaharness.console import ConsoleWatcher

QUIET = """\
[    0.000000] Linux version 7.3.4 (ima@harness) (gcc 12.2.0) #1 SMP
[    0.000000] Command line: console=ttyS0 oops=panic panic=-1 kunit.enable=0
[    0.204000] rcu: Hierarchical RCU implementation.
[    0.512345] ima: No architecture policies found
[    0.600000] tpm_tis MSFT0101:00: 2.0 TPM (device-id 0x1, rev-id 1)
[    1.000000] audit: type=1807 audit(1.0:2): action=measure func=FILE_CHECK res=1
[    1.100000] debug: WARNING is a word here
"""
REPORTS = {
    "panic": "[    1.1] Kernel panic - not syncing: sysrq triggered crash",
    "oops": "[    1.1] Oops: Oops: 0000 [#1] SMP PTI",
    "bug": "[    1.1] BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "warning": "[    1.1] WARNING: CPU: 0 PID: 1 at security/integrity/ima/ima_main.c:1 f+0x1/0x2",
    "new warning": "[    1.1][   T1] WARNING: security/integrity/ima/ima_queue.c:99 at f+0x1, CPU#0: sh/1",
    "cut": "[    1.1] ------------[ cut here ]------------",
    "lockdep": "[    1.1] WARNING: possible circular locking dependency detected",
    "sleep": "[    1.1] BUG: sleeping function called from invalid context at mm/slab.h:1",
    "kasan": "[    1.1] BUG: KASAN: slab-use-after-free in ima_seq_next+0x1/0x2",
    "kmemleak": "[    1.1] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "leak": "unreferenced object 0xffff888003b5c000 (size 64):",
    "hung": "[  121.1] INFO: task cat:77 blocked for more than 120 seconds.",
    "rcu": "[   61.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu use": "[    1.1] WARNING: suspicious RCU usage",
    "refcount": "[    1.1] refcount_t: underflow; use-after-free.",
    "list": "[    1.1] list_del corruption. prev->next should be x, but was y",
    "fault": "[    1.1] general protection fault, probably for non-canonical address",
    "ubsan": "[    1.1] UBSAN: array-index-out-of-bounds in f.c:1:2",
}


def watch(text: str, size: int = 4096) -> ConsoleWatcher:
    watcher = ConsoleWatcher()
    data = text.encode()
    for start in range(0, len(data), size):
        watcher.feed(data[start : start + size])
    watcher.close()
    return watcher


class Console(unittest.TestCase):
    def test_an_ordinary_boot_is_quiet(self) -> None:
        self.assertEqual(watch(QUIET).reports, [])

    def test_each_kind_of_report_is_seen(self) -> None:
        for name, line in REPORTS.items():
            with self.subTest(name):
                self.assertEqual(watch(f"{QUIET}{line}\r\n{QUIET}").reports, [line])

    def test_a_report_in_pieces_is_seen(self) -> None:
        line = REPORTS["kasan"]
        self.assertEqual(watch(QUIET + line + "\n", size=3).reports, [line])

    def test_a_report_without_its_newline_is_seen(self) -> None:
        self.assertEqual(watch(QUIET + REPORTS["panic"]).reports, [REPORTS["panic"]])

    def test_only_a_panic_is_a_panic(self) -> None:
        self.assertTrue(watch(REPORTS["panic"] + "\n").panicked)
        self.assertFalse(watch(REPORTS["warning"] + "\n").panicked)

    def test_bytes_that_are_no_text_do_no_harm(self) -> None:
        watcher = ConsoleWatcher()
        watcher.feed(b"\xff\xfe\0\n" + REPORTS["bug"].encode() + b"\n")
        self.assertEqual(watcher.reports, [REPORTS["bug"]])


if __name__ == "__main__":
    unittest.main()
