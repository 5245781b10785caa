# SPDX-License-Identifier: GPL-2.0-or-later
"""Check each patch of a series, in order.

Each patch must apply without fuzz, and the whole kernel must link. W=1 and sparse
must give no new warning in the folders that the series touches, and checkpatch
--strict none at all. In the last state these folders must build without a warning
for other architectures and configurations, Sphinx must give no warning about the
documents that the series touches, and the kernel must boot. What passed is
remembered under a digest of its inputs.

'make check' builds only the last state, in one configuration.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import arch, documents, kernel, kernel_variants, paths, report, source, stepped, warnings_log
from .bases import DEFAULT_BASE, Base, find_base
from .errors import HarnessError
from .guest import GuestSpec, run_guest
from .kernel_variants import Variant
from .report import Status, Suite
from .stepped import SteppedTree

# The types of checkpatch that are ignored, each with its reason.
IGNORED_TYPES = {
    "FILE_PATH_CHANGES": "MAINTAINERS is updated once, by the patch that adds the documentation",
    "MISSING_SIGN_OFF": "nobody who could certify the patches has written them; 'make series SIGNOFF=' adds it",
    "UNKNOWN_COMMIT_ID": "'Fixes:' names commits of upstream's history, which no release tarball holds",
}
_SPARSE_FLAGS = f"-include {paths.CONFIGS / 'sparse.h'}"
_FEW_FILES = 60  # in a folder with more, only the touched files are checked


class _Checker:
    """Checks the states of a stepped tree and remembers which are good."""

    def __init__(self, tree: SteppedTree) -> None:
        self.tree = tree
        self.warned = tree.src / f"{kernel.OBJECTS}warn"
        self._memory_file = tree.top / "passed.json"
        self._memory: dict[str, warnings_log.Warnings] = (
            json.loads(self._memory_file.read_text()) if self._memory_file.exists() else {}
        )
        self._key = tree.settings.copy()
        for how in (Path(__file__), Path(stepped.__file__), paths.CONFIGS / "sparse.h"):  # a changed check runs again
            self._key.update(how.read_bytes())
        self.known: warnings_log.Warnings = {}

    def targets(self) -> list[str]:
        """What W=1 and sparse check: whole folders if small, else only the touched files."""
        found: set[str] = set()
        for name in self.tree.touched:
            file = Path(name)
            folder = self.tree.src / file.parent
            if file.suffix != ".c" or name.startswith(("tools/", "samples/", "Documentation/")):
                continue
            if len(list(folder.glob("*.c"))) <= _FEW_FILES:
                found.add(f"{file.parent}/")
            elif (self.tree.src / file).exists():
                found.add(str(file.with_suffix(".o")))
        return sorted(found)

    def enter(self, patch: Path | None) -> bool:
        """Go to the next state; True if it is known to be good."""
        if patch is not None:
            self._key.update(patch.read_bytes())
        known = self._memory.get(self._key.hexdigest())
        if known is None:
            return False
        self.known = known
        return True

    def remember(self) -> None:
        self._memory[self._key.hexdigest()] = self.known
        self._save()

    def _save(self) -> None:
        self._memory_file.write_text(json.dumps(self._memory))

    def variant(self, variant: Variant) -> list[str]:
        """Build what the series touches as VARIANT, unless it passed before. Return the warnings."""
        key = self._key.copy()
        key.update(variant.identity())
        if key.hexdigest() in self._memory:
            return []
        found = kernel_variants.build(variant, self.tree, self.targets())
        if not found:
            self._memory[key.hexdigest()] = {}
            self._save()
        return found

    def build(self, last: bool) -> None:
        """Link the whole kernel in this state; HarnessError has the compiler's output."""
        self.tree.build(arch.current().image.name if last else "vmlinux", last)

    def warnings(self, last: bool) -> list[str]:
        """Compile and check what the series touches. Return the new warnings."""
        if not self.warned.exists():
            kernel.copy_objects(self.tree.objects, self.warned)
            for name in self.targets():  # rebuild everything there, with warnings
                for obj in self.warned.glob(f"{name}*.o" if name.endswith("/") else name):
                    obj.unlink()
        log = self.tree.top / "warnings.log"
        log.unlink(missing_ok=True)
        self.tree.configure(self.warned, last)
        options = ["W=1", "C=1", "-Otarget", "CHECK=sparse", f"CF={_SPARSE_FLAGS}"]
        kernel.make(self.tree.src, self.warned, [*options, *self.targets()], log)
        text = log.read_text(errors="replace")
        if "C=1 specified, but" in text:  # make continues without sparse
            raise HarnessError(f"this kernel rejects the installed sparse; see {log}")
        after = warnings_log.by_object(text)
        found = warnings_log.new(self.known, after)
        self.known = {**self.known, **after}
        return found

    def checkpatch(self, patch: Path) -> str:
        """The complaints of checkpatch about PATCH, or ''."""
        done = subprocess.run(
            [
                self.tree.src / "scripts/checkpatch.pl",
                "--strict",
                "--show-types",
                "--no-summary",
                f"--root={self.tree.src}",
                f"--ignore={','.join(IGNORED_TYPES)}",
                patch,
            ],
            cwd=self.tree.src,
            env={**os.environ, "GIT_DIR": "/nonexistent"},  # the tree has no history
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
        output = action(*arguments)  # type: ignore[operator]
    except HarnessError as e:
        return str(e)
    return "\n".join(output) if isinstance(output, list) else output or ""


def _boot(tree: SteppedTree) -> str:
    result = run_guest(GuestSpec(command=["cat", "/proc/version"], kernel=tree.image, name="kernel-check"))
    return "" if result.ok else result.explain()


def run(base: Base, ksrc: Path | None = None, only_last: bool = False) -> Suite:
    """Check the series; stops at a patch that does not apply or build.

    If ONLY_LAST, the last state alone is built, and in one configuration.
    """
    if not source.patches(base):
        raise HarnessError(f"no patches in {paths.patch_dir(base.name)}")
    print(f"kernel-check: checkpatch ignores {'; '.join(f'{k}: {v}' for k, v in IGNORED_TYPES.items())}")
    with stepped.stepped(base, ksrc) as tree:
        return _check(tree, only_last)


def _check(tree: SteppedTree, only_last: bool) -> Suite:
    suite = Suite("kernel")
    checker = _Checker(tree)
    if not checker.enter(None):
        checker.build(last=False)
        checker.warnings(last=False)
        checker.remember()
    for patch in tree.series:
        last = tree.is_last(patch)
        name = patch.name[:4]
        began = time.monotonic()
        if not _step(suite, f"{patch.stem} applies", _said(tree.apply, patch), began):
            return suite
        began = time.monotonic()
        _step(suite, f"{name} checkpatch --strict", checker.checkpatch(patch), began)
        known = checker.enter(patch)
        if only_last and not last:
            continue
        if not known or (last and not tree.image.exists()):
            began = time.monotonic()
            if not _step(suite, f"{name} builds", _said(checker.build, last), began):
                return suite
            began = time.monotonic()
            if _step(suite, f"{name} W=1 and sparse", _said(checker.warnings, last), began):
                checker.remember()
        else:
            suite.add(f"{name} builds", Status.PASS)
            suite.add(f"{name} W=1 and sparse", Status.PASS)
    if not only_last:
        _variants(suite, checker)
    _documents(suite, tree)
    began = time.monotonic()
    _step(suite, "the last one boots", _boot(tree), began)
    return suite


def _variants(suite: Suite, checker: _Checker) -> None:
    not_here = "" if arch.current().name == "x86_64" else f"it is built in a check for x86_64, not {arch.current().name}"
    for variant in kernel_variants.VARIANTS:
        name = f"the last one builds for {variant.name}"
        began = time.monotonic()
        if missing := variant.missing() or not_here:
            suite.add(name, Status.SKIP, missing)
        else:
            _step(suite, name, _said(checker.variant, variant), began)


def _documents(suite: Suite, tree: SteppedTree) -> None:
    name = "htmldocs has no warning about the touched documents"
    if reason := documents.unsuitable():
        suite.add(name, Status.SKIP, reason)
    elif documents.folders(tree.touched):
        began = time.monotonic()
        _step(suite, name, _said(documents.check, tree.src, tree.touched, tree.top / "htmldocs"), began)


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
        elif case.status is Status.SKIP:
            print(f"SKIP {case.name}: {case.detail}")
    print(report.closing_line([suite]))
    return 1 if report.failed([suite]) else 0
