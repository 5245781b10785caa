# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the commands of README.md as they are written, in their order, as a new user would.

For machines that may be changed: it makes ~/linux, a git tree of the base, and installs
the package. A command that needs a person or a machine with IMA is left out, with the
reason. 'make hosts' does this in a new chroot.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from . import kernel, paths, process, userspace
from .bases import BASES, DEFAULT_BASE
from .errors import HarnessError

README = paths.ROOT / "README.md"
_BLOCK_LINE = re.compile(r"^    (\S.*?)(?:  +#.*)?$")
_SYSTEMD = "needs systemd and IMA: tests/e2e/test_systemd.py does this in a guest"
LEFT_OUT: Mapping[str, str] = {
    "make demo": "make hosts runs it before",
    "make check": "make hosts runs it before",
    "make -C ~/linux kselftest TARGETS=ima": "extends PCRs: suite selftests runs it in a guest",
    "sudo ima-snapshot status": _SYSTEMD,
    "sudo editor /etc/ima-snapshot.conf": "is for a person",
    "sudo systemctl enable --now ima-snapshotd": _SYSTEMD,
    "evmctl ima_measurement /run/ima-snapshot/view/binary_runtime_measurements": _SYSTEMD,
    "man ima-snapshot-verifiers": "suite lint formats the pages",
}
# What a person would type. apt asks before it installs more than one package.
_ANSWERS = {"make vm": "uname -r\nexit\n"}
_YES = "y\n"


def commands(text: str) -> list[str]:
    """The lines of README's indented blocks, without their comments. A line after 'cd' is joined to it."""
    found = []
    fenced = False
    before = ""
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if fenced or not (command := _BLOCK_LINE.match(line)):
            continue
        if command[1].startswith("cd "):
            before = f"{command[1]} && "
            continue
        found.append(before + command[1])
        before = ""
    return found


def _prepare(home: Path) -> None:
    """Make ~/linux, with the base checked out, in which a developer can commit."""
    base = BASES[DEFAULT_BASE]
    process.output([paths.ROOT / "scripts" / "kernel-tree"])
    process.output(["git", "clone", "-q", "--no-hardlinks", paths.BUILD / "ktree" / base.name, home / "linux"])
    process.output(["git", "checkout", "-q", "-b", "mine", "base"], cwd=home / "linux")
    for key, value in (("user.name", "A developer"), ("user.email", "developer@example.org")):
        process.output(["git", "config", key, value], cwd=home / "linux")


def _build_linux(home: Path) -> None:
    """Configure ~/linux, to which the series was applied, for the harness's guest, and build the image."""
    base, flavour = BASES[DEFAULT_BASE], kernel.find_flavour("patched")
    kernel.build(base, flavour)  # again: the commands before fitted the series to another tree
    objects = kernel.object_dir(base, flavour)
    (home / "linux" / ".config").write_bytes((objects / ".config").read_bytes())
    for target in ("olddefconfig", "bzImage"):
        process.output(["make", "-C", home / "linux", "-s", f"-j{userspace.jobs()}", target])


def run(text: str, home: Path) -> int:
    """Run the commands of TEXT in the root of the repository; returns how many failed."""
    failed = 0
    for command in commands(text):
        if reason := LEFT_OUT.get(command):
            print(f"left out ({reason}): {command}", flush=True)
            continue
        if "KERNEL=~/linux" in command:
            _build_linux(home)
        print(f"$ {command}", flush=True)
        began = time.monotonic()
        line = command.replace(".../", f"{paths.ROOT}/")
        answers = _ANSWERS.get(command, _YES)
        status = subprocess.run(["bash", "-c", line], cwd=paths.ROOT, input=answers, text=True, check=False).returncode
        print(f"{'ok' if status == 0 else f'FAILED ({status})'} after {time.monotonic() - began:.0f} s: {command}", flush=True)
        failed += status != 0
    return failed


def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="readme", description=__doc__, formatter_class=raw)
    parser.add_argument("--list", action="store_true", help="print what would be run")
    args = parser.parse_args()
    text = README.read_text()
    if args.list:
        print("\n".join(c for c in commands(text) if c not in LEFT_OUT))
        return 0
    home = Path(os.environ["HOME"])
    try:
        _prepare(home)
        failed = run(text, home)
    except HarnessError as e:
        print(f"readme: {e}", file=sys.stderr)
        return 1
    print(f"{len(commands(text)) - len(LEFT_OUT)} commands of README.md were run, {failed} failed")
    return 1 if failed else 0
