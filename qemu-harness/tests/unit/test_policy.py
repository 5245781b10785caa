# SPDX-License-Identifier: GPL-2.0-or-later
"""The SELinux module compiles, and no other domain can be given the snapshot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import support
from imaharness import paths

_MODULE = paths.ROOT / "userspace/policy/selinux.cil"
# As much of a policy as the module needs.
_BASE = """
(class file (getattr open read write append))
(class capability (sys_admin))
(classorder (file capability))
(sid kernel)
(sidorder (kernel))
(user system_u)
(role system_r)
(role object_r)
(userrole system_u system_r)
(userrole system_u object_r)
(type kernel_t)
(roletype system_r kernel_t)
(sensitivity s0)
(sensitivityorder (s0))
(userlevel system_u (s0))
(userrange system_u ((s0) (s0)))
(sidcontext kernel (system_u system_r kernel_t ((s0) (s0))))
"""


class SELinux(support.TemporaryDirectory):
    def compile(self, more: str = "") -> subprocess.CompletedProcess[str]:
        secilc = shutil.which("secilc")
        if secilc is None:
            self.skipTest("secilc is not installed")
        (self.tmp / "base.cil").write_text(_BASE + more)
        argv: list[str | Path] = [secilc, "-M", "true", "-o", self.tmp / "policy", "-f", self.tmp / "contexts"]
        return subprocess.run([*argv, self.tmp / "base.cil", _MODULE], capture_output=True, text=True, check=False)

    def test_it_compiles(self) -> None:
        done = self.compile()
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_another_domain_may_read_but_not_write(self) -> None:
        self.assertEqual(self.compile("(allow kernel_t ima_snapshot_file_t (file (read)))").returncode, 0)
        done = self.compile("(allow kernel_t ima_snapshot_file_t (file (write)))")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("neverallow", done.stderr)
