# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel tree to which the series is applied patch by patch, to build each state."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import arch, kernel, paths, process, source
from .bases import Base
from .errors import HarnessError

_FLAVOUR = kernel.FLAVOURS["patched"]


@contextmanager
def stepped(base: Base, ksrc: Path | None) -> Iterator[SteppedTree]:
    """The tree without the series, locked against other users."""
    top = paths.KERNELS / base.name / "check"
    top.mkdir(parents=True, exist_ok=True)
    with (top / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield SteppedTree(base, ksrc, top)


class SteppedTree:
    """Made by stepped(): the source in its current state, its objects, and the step to the next state."""

    def __init__(self, base: Base, ksrc: Path | None, top: Path) -> None:
        origin = source.find(base, ksrc)
        self.base = base
        self.ksrc = ksrc
        self.plain = source.plain_tree(base, origin)
        self.series = source.fitted(base, origin)
        self.top = top
        self.src = top / "src"
        self.objects = self.src / f"{kernel.OBJECTS}check"
        self.log = top / "build.log"
        self.touched = sorted(source.touched(p.read_text() for p in self.series))
        # A digest of source, compiler and configuration. Copy it before adding to it.
        self.settings = hashlib.sha256(origin.identity.encode())
        for fragment in kernel.fragment_files(_FLAVOUR):
            self.settings.update(fragment.read_bytes())
        self.settings.update(process.output(["gcc", "--version"]).encode())
        self._prepare(origin.identity)

    def _prepare(self, identity: str) -> None:
        """Remove the series from the tree; its files become newer than all objects of other states."""
        stamp = self.top / "source"
        left = self.top / "touched"
        if not (stamp.exists() and stamp.read_text() == identity and self.src.is_dir()):
            source.link_tree(self.plain, self.src)
            left.unlink(missing_ok=True)
            stamp.write_text(identity)
        if not self.objects.exists():  # before any patch is applied: objects must be older than its files
            kernel.build(self.base, kernel.FLAVOURS["stock"], self.ksrc)
            kernel.copy_objects(kernel.object_dir(self.base, kernel.FLAVOURS["stock"]), self.objects)
        before = json.loads(left.read_text()) if left.exists() else []
        for name in {*before, *self.touched}:
            target = self.src / name
            target.unlink(missing_ok=True)
            if (self.plain / name).exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.plain / name, target)
                target.chmod((self.plain / name).stat().st_mode)
        left.write_text(json.dumps(self.touched))

    @property
    def image(self) -> Path:
        """The bzImage of the state that was built last."""
        return self.objects / arch.current().image

    def is_last(self, patch: Path | None) -> bool:
        return patch is not None and patch == self.series[-1]

    def apply(self, patch: Path) -> None:
        """Go on to the next state."""
        source.apply(patch, self.src)

    def configure(self, obj: Path, last: bool) -> None:
        """Configure OBJ, but only if a Kconfig file changed: it runs the compiler hundreds of times."""
        fragments = kernel.fragment_files(_FLAVOUR)
        settings = self.settings.copy()
        for name in self.touched:
            if Path(name).name.startswith("Kconfig") and (self.src / name).exists():
                settings.update((self.src / name).read_bytes())
        stamp = obj / "configured"
        if not (stamp.exists() and stamp.read_text() == settings.hexdigest()):
            stamp.unlink(missing_ok=True)
            kernel.merge(self.src, obj, fragments, self.log)
            stamp.write_text(settings.hexdigest())
        if last and (missing := kernel.unmet(self.base, fragments, obj / ".config")):
            raise HarnessError(f"with the whole series the configuration refuses {', '.join(missing)}")

    def build(self, target: str, last: bool) -> None:
        """Make TARGET (vmlinux or bzImage) in this state; HarnessError has the compiler's output."""
        self.log.unlink(missing_ok=True)
        self.configure(self.objects, last)
        kernel.make(self.src, self.objects, [target], self.log)
