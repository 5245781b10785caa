# SPDX-License-Identifier: GPL-2.0-or-later
"""Get a kernel's source and unpack it, as published and with the series applied.

    build/kernel/<base>/plain/src    as published
    build/kernel/<base>/series/src   the same with kernel-patches/<base> applied

The trees share all files that the series does not touch, by hard links. If the
series changes, only the files that it touches are patched again. A file whose
text stays the same keeps its time, so that make rebuilds only what it must.

With KSRC the source is the HEAD of the user's tree, and build/kernel/<base>/fitted
has the patches as 'git am --3way' fitted them to it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import apt, ksrc, paths, process
from .bases import Base
from .errors import HarnessError


class NoSourceError(HarnessError):
    """Nothing that this machine can reach has the source of a base."""


OBJECTS = "obj-"  # prefix of the object directories in a source tree


@dataclass(frozen=True)
class Source:
    """One way to get a tree: IDENTITY changes when its text does."""

    identity: str
    description: str
    unpack: Callable[[Path], None]
    tree: ksrc.KernelTree | None = None  # the user's own, to which the series is fitted


def _say(text: str) -> None:
    """Print a message for the user; standard output is for scripts."""
    print(f"kernel: {text}", file=sys.stderr, flush=True)


def _unpack_tarball(tarball: Path, into: Path) -> None:
    process.output(["tar", "-xf", tarball, "--strip-components=1", "-C", into])


def _unpack_deb(deb: Path, into: Path) -> None:
    """Unpack the one tarball that a linux-source package holds."""
    members = process.output(["dpkg-deb", "--contents", deb])
    found = re.search(r"(\./usr/src/linux-source-[0-9.]+\.tar\.xz)$", members, re.MULTILINE)
    if found is None:
        raise HarnessError(f"{deb} holds no kernel source")
    script = 'set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" | tar -xJ --strip-components=1 -C "$3"'
    process.output(["bash", "-c", script, "unpack", deb, found.group(1), into])


def _from_file(file: Path) -> Source:
    unpack = _unpack_deb if file.suffix == ".deb" else _unpack_tarball
    return Source(
        f"{file.name} {file.stat().st_size}", str(file), lambda into: unpack(file, into)
    )


def _from_git(base: Base, path: Path) -> Source:
    """The commit that the user's tree has checked out."""
    tree = ksrc.open_tree(path)

    def unpack(into: Path) -> None:
        ksrc.export(tree, into)
        if ksrc.has_changes(tree):
            _say(f"note: {tree.path} has uncommitted changes, which are ignored: its HEAD is used")
        if (found := version(into)) != base.series and not found.startswith(f"{base.series}."):
            _say(f"note: {tree.path} is Linux {found}; the series was made for {base.series}")

    return Source(f"git {tree.commit}", tree.description, unpack, tree)


def version(tree: Path) -> str:
    """The version in a source tree's Makefile, as 'make kernelversion' prints it."""
    makefile = tree / "Makefile"
    text = makefile.read_text() if makefile.is_file() else ""
    found = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) =[ \t]*(.*)$", text, re.MULTILINE))
    numbers = [found.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    return ".".join(n for n in numbers if n) + found.get("EXTRAVERSION", "") or "of an unknown version"


def _in_downloads(base: Base) -> Path | None:
    wanted = re.compile(
        rf"linux(-source)?-{re.escape(base.series)}([._-][^/]*)?\.(tar\.(xz|gz|bz2|zst)|deb)"
    )
    if not paths.DOWNLOADS.is_dir():
        return None
    found = sorted(f for f in paths.DOWNLOADS.iterdir() if wanted.fullmatch(f.name))
    return found[-1] if found else None


def _from_debian(base: Base) -> Path:
    paths.DOWNLOADS.mkdir(parents=True, exist_ok=True)
    complaints = []
    for suite in base.debian_suites:
        _say(f"downloading {base.debian_package} of Debian {suite}")
        try:
            return apt.download(base.debian_package, suite, paths.DOWNLOADS)
        except HarnessError as e:
            complaints.append(str(e))
    raise HarnessError("; ".join(complaints))


def published_checksum(listing: str, name: str) -> str:
    """The SHA-256 of NAME in the text of a sha256sums.asc."""
    found = re.search(rf"^([0-9a-f]{{64}})\s+{re.escape(name)}$", listing, re.MULTILINE)
    if found is None:
        raise HarnessError(f"no published checksum for {name}")
    return found.group(1)


def _from_kernel_org(base: Base) -> Path:
    name = base.upstream_tarball
    _say(f"downloading {name} from kernel.org")
    part = paths.DOWNLOADS / f"{name}.part"
    try:
        with urllib.request.urlopen(f"{base.upstream_dir}/sha256sums.asc", timeout=60) as answer:
            wanted = published_checksum(answer.read().decode(), name)
        digest = hashlib.sha256()
        with urllib.request.urlopen(f"{base.upstream_dir}/{name}", timeout=60) as answer:
            with part.open("wb") as out:
                while block := answer.read(1 << 20):
                    digest.update(block)
                    out.write(block)
    except (OSError, urllib.error.URLError) as e:
        raise HarnessError(f"kernel.org: {e}") from e
    if digest.hexdigest() != wanted:
        part.unlink()
        raise HarnessError(f"{name} does not have its published checksum")
    return part.rename(paths.DOWNLOADS / name)


def find(base: Base, tree: Path | None) -> Source:
    """The first available source of: KSRC, build/downloads, Debian's package, kernel.org."""
    if tree is not None:
        return _from_git(base, tree)
    if (kept := _in_downloads(base)) is not None:
        return _from_file(kept)
    complaints = []
    for fetch in (_from_debian, _from_kernel_org):
        try:
            return _from_file(fetch(base))
        except HarnessError as e:
            complaints.append(str(e))
    for complaint in complaints:
        _say(complaint)
    raise NoSourceError(
        f"no source of Linux {base.series}: set KSRC to a kernel git tree, put"
        f" {base.upstream_tarball} into {paths.DOWNLOADS}, or configure apt with a Debian"
        f" mirror that has {base.debian_package} ({', '.join(base.debian_suites)})"
    )


@cache
def reason_without(base: Base, tree: Path | None = None) -> str | None:
    """Why the suites that need the source of BASE cannot run, or None."""
    try:
        find(base, tree)
    except NoSourceError as e:
        return str(e)
    return None


def patches(base: Base) -> list[Path]:
    """The series in order, without its cover letter."""
    found = sorted(paths.patch_dir(base.name).glob("[0-9][0-9][0-9][0-9]-*.patch"))
    return [p for p in found if not p.name.startswith("0000-")]


def series_digest(base: Base) -> str:
    digest = hashlib.sha256()
    for patch in patches(base):
        digest.update(patch.read_bytes())
    return digest.hexdigest()


def fitted(base: Base, source: Source) -> list[Path]:
    """The series for SOURCE: unchanged, or fitted to the user's tree by 'git am --3way'."""
    series = patches(base)
    if source.tree is None or not series:
        return series
    top = paths.KERNELS / base.name
    top.mkdir(parents=True, exist_ok=True)
    with (top / "fitted.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _fit(base, source, source.tree, series, top / "fitted")


def _fit(base: Base, source: Source, tree: ksrc.KernelTree, series: Sequence[Path], place: Path) -> list[Path]:
    stamp = place / "fits"
    wanted = f"{source.identity} {series_digest(base)}"
    if not (stamp.exists() and stamp.read_text() == wanted):
        if place.exists():
            shutil.rmtree(place)
        _say(f"fitting {len(series)} patches of {base.name} to {source.description}")
        with tempfile.TemporaryDirectory(prefix="fitted-", dir=place.parent) as directory:
            part = Path(directory) / "part"
            part.mkdir()
            names = touched(p.read_text() for p in series)
            for dropped in ksrc.fit(tree, series, names, part):
                _say(f"note: {tree.path} already has {dropped}")
            (part / "fits").write_text(wanted)
            part.rename(place)
    return sorted(place.glob("*.patch"))


def _fresh(directory: Path) -> Path:
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    return directory


def plain_tree(base: Base, source: Source) -> Path:
    """The source as published. If it changed, everything built from the old one is removed."""
    top = paths.KERNELS / base.name
    stamp = top / "source"
    tree = top / "plain" / "src"
    if stamp.exists() and stamp.read_text() == source.identity and tree.is_dir():
        return tree
    stamp.unlink(missing_ok=True)
    _say(f"unpacking {source.description}")
    for part in ("plain", "series"):
        _fresh(top / part)
    tree.mkdir()
    source.unpack(tree)
    if not (tree / "security" / "integrity" / "ima").is_dir():
        raise HarnessError(f"{source.description} is not a Linux source tree")
    _check_version(base, version(tree))
    stamp.write_text(source.identity)
    return tree


def _check_version(base: Base, found: str) -> None:
    """HarnessError if the tree is too old for the series of BASE."""

    def numbers(text: str) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", text)[:3]]

    if base.minimum and numbers(found) < numbers(base.minimum):
        raise HarnessError(f"this is Linux {found}; the series of {base.name} needs {base.minimum} or later")


def link_tree(plain: Path, tree: Path) -> None:
    """Make TREE a copy of PLAIN with hard links. Never write to a file in it: replace the file."""
    _fresh(tree)
    entries = [e for e in plain.iterdir() if not e.name.startswith(OBJECTS)]
    process.output(["cp", "-al", "-t", tree, *entries])


def touched(patch_texts: Iterable[str]) -> set[str]:
    """All files that the patches change, add, remove or rename."""
    names: set[str] = set()
    for text in patch_texts:
        names.update(re.findall(r"^(?:---|\+\+\+) [ab]/(\S+)", text, re.MULTILINE))
        names.update(re.findall(r"^rename (?:from|to) (\S+)", text, re.MULTILINE))
    return names


def _restore(name: str, plain: Path, tree: Path) -> None:
    (tree / name).unlink(missing_ok=True)
    if (plain / name).exists():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(plain / name, tree / name)


def apply(patch: Path, tree: Path) -> None:
    """Apply one patch to TREE, without fuzz, as 'git am' would."""
    done = subprocess.run(
        ["patch", "-p1", "-F0", "-N", "-s", "-r", "-", "--no-backup-if-mismatch", "-i", patch],
        cwd=tree,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HarnessError(f"{patch.name} does not apply: {done.stdout.strip()}")


def series_tree(base: Base, plain: Path, series: Sequence[Path]) -> Path:
    """The source with SERIES applied; only the files that it touches are updated."""
    top = paths.KERNELS / base.name / "series"
    tree = top / "src"
    applied = top / "applied"  # the text of the series that TREE has
    if not patches(base):
        raise HarnessError(f"no patches in {paths.patch_dir(base.name)}; --stock needs none")
    wanted = "".join(p.read_text() for p in series)
    if applied.exists() and applied.read_text() == wanted:
        return tree
    old = applied.read_text() if applied.exists() else ""
    applied.unlink(missing_ok=True)
    if not old:
        link_tree(plain, tree)
    names = sorted(touched([old, wanted]))
    before = {n: _text_and_time(tree / n) for n in names}
    for name in names:
        _restore(name, plain, tree)
    _say(f"applying {len(series)} patches of {base.name}")
    try:
        for patch in series:
            apply(patch, tree)
    except HarnessError:
        shutil.rmtree(tree)  # it has neither the old series nor the new one
        raise
    for name in names:
        _settle_time(tree / name, before[name])
    applied.write_text(wanted)
    return tree


def _text_and_time(file: Path) -> tuple[bytes, int] | None:
    if not file.exists():
        return None
    return file.read_bytes(), file.stat().st_mtime_ns


def _settle_time(file: Path, before: tuple[bytes, int] | None) -> None:
    """Break the file's link. If its text is as BEFORE, restore its time."""
    if not file.exists():
        return
    text = file.read_bytes()
    mode = file.stat().st_mode
    file.unlink()  # it may be a link into the plain tree, whose time must stay
    file.write_bytes(text)
    file.chmod(mode)
    if before is not None and before[0] == text:
        os.utime(file, ns=(before[1], before[1]))
