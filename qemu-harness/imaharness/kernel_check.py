# SPDX-License-Identifier: GPL-2.0-or-later
"""Prove each patch of a series by itself, in order.

For every patch: it applies without fuzz; the whole kernel links; the folders
that the series touches give no warning with W=1 and sparse that they did not
give before the patch; checkpatch --strict has nothing to say. The last kernel
boots. What passed is remembered under the digest of all that went into it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import kernel, paths, process, report, source, warnings_log
from .bases import DEFAULT_BASE, Base, find_base
from .errors import HarnessError
from .guest import GuestSpec, run_guest
from .report import Status, Suite

# Types of checkpatch that are not asked for, each with its reason.
IGNORED_TYPES = {
    "FILE_PATH_CHANGES": "MAINTAINERS is updated once, by the patch that adds the documentation",
    "UNKNOWN_COMMIT_ID": "'Fixes:' names commits of upstream's history, which no release tarball holds",
}
_SPARSE_FLAGS = f"-include {paths.CONFIGS / 'sparse.h'}"
_FLAVOUR = kernel.FLAVOURS["patched"]
_FEW_FILES = 60  # a folder with more is checked file by file


class _Checker:
    """The tree that walks through the series, and what is known of its earlier states."""

    def __init__(self, base: Base, ksrc: Path | None) -> None:
        origin = source.find(base, ksrc)
        self.base = base
        self.ksrc = ksrc
        self.plain = source.plain_tree(base, origin)
        self.series = source.fitted(base, origin)
        top = paths.KERNELS / base.name / "check"
        self.tree = top / "src"
        self.objects = self.tree / f"{kernel.OBJECTS}check"
        self.warned = self.tree / f"{kernel.OBJECTS}warn"
        self.log = top / "build.log"
        self._memory_file = top / "passed.json"
        self._memory: dict[str, warnings_log.Warnings] = (
            json.loads(self._memory_file.read_text()) if self._memory_file.exists() else {}
        )
        self._key = hashlib.sha256(origin.identity.encode())
        for how in (Path(__file__), paths.CONFIGS / "sparse.h"):  # checked otherwise, checked anew
            self._key.update(how.read_bytes())
        for fragment in kernel.fragment_files(_FLAVOUR):
            self._key.update(fragment.read_bytes())
        self._key.update(process.output(["gcc", "--version"]).encode())
        self._settings = self._key.copy()  # of the configuration, with the Kconfig files
        self.touched = sorted(source.touched(p.read_text() for p in self.series))
        self.known: warnings_log.Warnings = {}
        self._prepare(origin.identity)

    def _prepare(self, identity: str) -> None:
        """A tree without the series, its files newer than any object made from another state."""
        stamp = self.tree.parent / "source"
        left = self.tree.parent / "touched"
        if not (stamp.exists() and stamp.read_text() == identity and self.tree.is_dir()):
            source.link_tree(self.plain, self.tree)
            left.unlink(missing_ok=True)
            stamp.write_text(identity)
        before = json.loads(left.read_text()) if left.exists() else []
        for name in {*before, *self.touched}:
            target = self.tree / name
            target.unlink(missing_ok=True)
            if (self.plain / name).exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.plain / name, target)
                target.chmod((self.plain / name).stat().st_mode)
        left.write_text(json.dumps(self.touched))

    def targets(self) -> list[str]:
        """What W=1 and sparse look at: small folders whole, files of large ones by name."""
        found: set[str] = set()
        for name in self.touched:
            file = Path(name)
            folder = self.tree / file.parent
            if file.suffix != ".c" or name.startswith(("tools/", "samples/", "Documentation/")):
                continue
            if len(list(folder.glob("*.c"))) <= _FEW_FILES:
                found.add(f"{file.parent}/")
            elif (self.tree / file).exists():
                found.add(str(file.with_suffix(".o")))
        return sorted(found)

    def enter(self, patch: Path | None) -> bool:
        """Note the next state; True if it is known to be good."""
        if patch is not None:
            self._key.update(patch.read_bytes())
        known = self._memory.get(self._key.hexdigest())
        if known is None:
            return False
        self.known = known
        return True

    def remember(self) -> None:
        self._memory[self._key.hexdigest()] = self.known
        self._memory_file.write_text(json.dumps(self._memory))

    def _configure(self, obj: Path, last: bool) -> None:
        """Configure OBJ, anew where a Kconfig file changed: it asks the compiler hundreds of questions."""
        fragments = kernel.fragment_files(_FLAVOUR)
        settings = self._settings.copy()
        for name in self.touched:
            if Path(name).name.startswith("Kconfig") and (self.tree / name).exists():
                settings.update((self.tree / name).read_bytes())
        stamp = obj / "configured"
        if not (stamp.exists() and stamp.read_text() == settings.hexdigest()):
            stamp.unlink(missing_ok=True)
            kernel.merge(self.tree, obj, fragments, self.log)
            stamp.write_text(settings.hexdigest())
        if last and (missing := kernel.unmet(fragments, obj / ".config")):
            raise HarnessError(f"with the whole series the configuration refuses {', '.join(missing)}")

    def build(self, last: bool) -> None:
        """Link the whole kernel in this state; HarnessError with the compiler's words."""
        if not self.objects.exists():
            kernel.build(self.base, kernel.FLAVOURS["stock"], self.ksrc)
            origin = kernel.object_dir(self.base, kernel.FLAVOURS["stock"])
            kernel.copy_objects(origin, self.objects)
        self.log.unlink(missing_ok=True)
        self._configure(self.objects, last)
        kernel.make(self.tree, self.objects, ["bzImage" if last else "vmlinux"], self.log)

    def warnings(self, last: bool) -> list[str]:
        """Compile and check what the series touches; the warnings that were not there before."""
        if not self.warned.exists():
            kernel.copy_objects(self.objects, self.warned)
            for name in self.targets():  # make everything there anew, warnings on
                for obj in self.warned.glob(f"{name}*.o" if name.endswith("/") else name):
                    obj.unlink()
        log = self.log.with_name("warnings.log")
        log.unlink(missing_ok=True)
        self._configure(self.warned, last)
        options = ["W=1", "C=1", "-Otarget", "CHECK=sparse", f"CF={_SPARSE_FLAGS}"]
        kernel.make(self.tree, self.warned, [*options, *self.targets()], log)
        text = log.read_text(errors="replace")
        if "C=1 specified, but" in text:  # make goes on without it
            raise HarnessError(f"this kernel does not take this sparse; see {log}")
        after = warnings_log.by_object(text)
        found = warnings_log.new(self.known, after)
        self.known = {**self.known, **after}
        return found

    def checkpatch(self, patch: Path) -> str:
        """What checkpatch says against PATCH, '' if nothing."""
        done = subprocess.run(
            [
                self.tree / "scripts/checkpatch.pl",
                "--strict",
                "--show-types",
                "--no-summary",
                f"--root={self.tree}",
                f"--ignore={','.join(IGNORED_TYPES)}",
                patch,
            ],
            cwd=self.tree,
            env={**os.environ, "GIT_DIR": "/nonexistent"},  # the tree has no history to look into
            capture_output=True,
            text=True,
            check=False,
        )
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def _step(suite: Suite, name: str, complaint: str, began: float) -> bool:
    seconds = time.monotonic() - began
    suite.add(name, Status.FAIL if complaint else Status.PASS, complaint, seconds)
    print(f"  {suite.cases[-1].status.value}: {name} ({seconds:.0f} s)", flush=True)
    return not complaint


def _said(action: object, *arguments: object) -> str:
    try:
        told = action(*arguments)  # type: ignore[operator]
    except HarnessError as e:
        return str(e)
    return "\n".join(told) if isinstance(told, list) else told or ""


def _boot(checker: _Checker) -> str:
    image = checker.objects / "arch/x86/boot/bzImage"
    result = run_guest(GuestSpec(command=["cat", "/proc/version"], kernel=image, name="kernel-check"))
    return "" if result.ok else result.explain()


def run(base: Base, ksrc: Path | None = None) -> Suite:
    """Check the whole series; stops at a patch that does not apply or build."""
    suite = Suite("kernel")
    if not source.patches(base):
        raise HarnessError(f"no patches in {paths.patch_dir(base.name)}")
    print(f"kernel-check: checkpatch ignores {'; '.join(f'{k}: {v}' for k, v in IGNORED_TYPES.items())}")
    checker = _Checker(base, ksrc)
    if not checker.enter(None):
        checker.build(last=False)
        checker.warnings(last=False)
        checker.remember()
    for patch in checker.series:
        last = patch == checker.series[-1]
        name = patch.name[:4]
        began = time.monotonic()
        if not _step(suite, f"{patch.stem} applies", _said(source.apply, patch, checker.tree), began):
            return suite
        began = time.monotonic()
        _step(suite, f"{name} checkpatch --strict", checker.checkpatch(patch), began)
        known = checker.enter(patch)
        image = checker.objects / "arch/x86/boot/bzImage"
        if not known or (last and not image.exists()):
            began = time.monotonic()
            if not _step(suite, f"{name} builds", _said(checker.build, last), began):
                return suite
            began = time.monotonic()
            if _step(suite, f"{name} W=1 and sparse", _said(checker.warnings, last), began):
                checker.remember()
        else:
            suite.add(f"{name} builds", Status.PASS)
            suite.add(f"{name} W=1 and sparse", Status.PASS)
    began = time.monotonic()
    _step(suite, "the last one boots", _boot(checker), began)
    return suite


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kernel-check", description=__doc__.partition("\n")[0])
    parser.add_argument("--base", default=os.environ.get("BASE") or DEFAULT_BASE)
    parser.add_argument("--ksrc", default=os.environ.get("KSRC") or None, type=Path)
    args = parser.parse_args(argv)
    try:
        suite = run(find_base(args.base), args.ksrc)
    except HarnessError as e:
        print(f"kernel-check: {e}", file=sys.stderr)
        return 1
    for case in suite.cases:
        if case.status is Status.FAIL:
            print(f"FAIL {case.name}\n{case.detail}")
    print(report.closing_line([suite]))
    return 1 if report.failed([suite]) else 0
