# SPDX-License-Identifier: GPL-2.0-or-later
"""Configure and build kernels: flavours of a base, each built again if its inputs change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import arch, kcov, paths, process, source
from .bases import Base
from .errors import HarnessError, UsageError

_BASE_FRAGMENTS = ("base", "ima", "kunit", "faults")  # and that of the machine
OBJECTS = source.OBJECTS
# The same source gives the same bytes, and ccache can share objects between flavours.
_REPRODUCIBLE = {
    "KBUILD_BUILD_TIMESTAMP": "2026-01-01",
    "KBUILD_BUILD_USER": "ima",
    "KBUILD_BUILD_HOST": "harness",
    "CCACHE_NOHASHDIR": "1",
    # In depend mode ccache does not notice changes in files that .incbin includes, and
    # would return an earlier kernel. The namespace hides objects stored in that mode.
    "CCACHE_NODEPEND": "1",
    "CCACHE_NAMESPACE": "ima-harness",
    "CCACHE_SLOPPINESS": "locale",  # ignored, because it does not change the objects
}


@dataclass(frozen=True)
class Flavour:
    """A configuration of one base, with or without the series."""

    name: str
    series: bool
    fragments: tuple[str, ...]
    purpose: str
    arguments: tuple[str, ...] = ()  # of make

    @property
    def instrumented(self) -> frozenset[str]:
        """What the compiler adds to all objects, which then take long to build."""
        return frozenset(self.fragments) & {"debug", "kcsan"}


FLAVOURS = {
    f.name: f
    for f in (
        Flavour("patched", True, ("snapshot",), "the series with CONFIG_IMA_SNAPSHOT=y"),
        Flavour("stock", False, (), "the same configuration without the series"),
        Flavour("nosnapshot", True, ("nosnapshot",), "the series with CONFIG_IMA_SNAPSHOT=n"),
        Flavour("nostaging", True, ("snapshot", "nostaging"), "the series with IMA_STAGING=n"),
        Flavour("late", True, ("snapshot", "late"), "the series with IMA_INIT_LATE_SYNC: boot_aggregate_late"),
        Flavour("nohtable", True, ("snapshot", "nohtable"), "the series with IMA_DISABLE_HTABLE=y"),
        Flavour("stock-nostaging", False, ("nostaging",), "no series, IMA_STAGING=n"),
        Flavour("distro", True, ("snapshot", "distro"), "the series with Debian's options"),
        Flavour("stock-distro", False, ("distro",), "Debian's options without the series"),
        Flavour("hmac", True, ("snapshot", "distro", "hmac"), "the series with Debian's options and TCG_TPM2_HMAC"),
        Flavour("storage", True, ("snapshot", "storage"), "the series with XFS, Btrfs and disks that fail"),
        Flavour("debug", True, ("snapshot", "debug"), "the series with KASAN, lockdep, kmemleak"),
        Flavour("kcsan", True, ("snapshot", "kcsan"), "the series with KCSAN, which finds data races"),
        Flavour("kcov", True, ("snapshot", "kcov"), "the series with KCOV in its new files", kcov.ARGUMENTS),
        Flavour("stock-debug", False, ("debug",), "no series, with KASAN, lockdep, kmemleak"),
    )
}


def find_flavour(name: str) -> Flavour:
    """The flavour called NAME; UsageError lists the known ones."""
    try:
        return FLAVOURS[name]
    except KeyError:
        raise UsageError(f"unknown flavour {name!r}; choose from {', '.join(FLAVOURS)}") from None


def source_dir(base: Base, series: bool) -> Path:
    return paths.KERNELS / base.name / ("series" if series else "plain") / "src"


def object_dir(base: Base, flavour: Flavour) -> Path:
    """Directly below the source, so that kbuild calls the source '..' in every command.

    Another flavour can then start from a copy of these objects, even in a copied
    source tree, and make rebuilds only what differs.
    """
    return source_dir(base, flavour.series) / f"{OBJECTS}{flavour.name}"


def image_file(base: Base, flavour: Flavour) -> Path:
    """Where the build puts the flavour's bzImage."""
    return object_dir(base, flavour) / arch.current().image


def fragment_files(flavour: Flavour) -> list[Path]:
    names = (arch.current().name, *_BASE_FRAGMENTS, *flavour.fragments)
    return [paths.CONFIGS / f"{name}.config" for name in names]


def parse_config(text: str) -> dict[str, str]:
    """The values of a .config or a fragment; 'n' for 'is not set'."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        if found := re.fullmatch(r"(CONFIG_\w+)=(.+)", line):
            values[found.group(1)] = found.group(2)
        elif found := re.fullmatch(r"# (CONFIG_\w+) is not set", line):
            values[found.group(1)] = "n"
    return values


def requested(fragments: list[Path]) -> dict[str, str]:
    """The values that the fragments ask for; later fragments override earlier ones."""
    wanted: dict[str, str] = {}
    for fragment in fragments:
        wanted.update(parse_config(fragment.read_text()))
    return wanted


def unmet(base: Base, fragments: list[Path], config: Path) -> list[str]:
    """The settings of the fragments that CONFIG, the final configuration, does not have.

    Options that the base or the machine lacks are left out.
    """
    final = requested([config])
    wanted = requested(fragments)
    lacking = {f"CONFIG_{name}" for name in (*base.lacks, *arch.current().lacks)}
    return [f"{k}={v}" for k, v in wanted.items() if k not in lacking and final.get(k, "n") != v]


def reason_against(base: Base, options: Iterable[str]) -> str | None:
    """Why what needs these options cannot run on BASE, or None."""
    lacking = [f"CONFIG_{name}" for name in options if name in base.lacks]
    return f"Linux {base.series} has no {', '.join(lacking)}" if lacking else None


def flavour_reason(base: Base, flavour: Flavour) -> str | None:
    """Why BASE does not have FLAVOUR, or None."""
    own = requested([paths.CONFIGS / f"{name}.config" for name in flavour.fragments])
    return reason_against(base, (name.removeprefix("CONFIG_") for name in own))


@contextmanager
def _locked(base: Base, name: str) -> Iterator[None]:
    """Keep two harnesses from building in the same tree."""
    top = paths.KERNELS / base.name
    top.mkdir(parents=True, exist_ok=True)
    with (top / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def compiler(cross: str = "") -> list[str]:
    """Arguments of make: the compiler, or CROSS, a cross compiler, with the host's for the tools."""
    gcc = os.environ.get("KCC", "gcc")
    ccache = "ccache " if shutil.which("ccache") else ""
    return [f"CC={ccache}{cross or gcc}", f"HOSTCC={ccache}{gcc}"]


def make_environment(obj: Path) -> dict[str, str]:
    return {**_REPRODUCIBLE, "CCACHE_BASEDIR": str(obj.parent)}


def merge(tree: Path, obj: Path, fragments: list[Path], log: Path, arguments: Sequence[str] = ()) -> None:
    """Merge the fragments with the kernel's own script and let allnoconfig complete them.

    ARGUMENTS are for make: ARCH, for example.
    """
    obj.mkdir(parents=True, exist_ok=True)
    script = tree / "scripts/kconfig/merge_config.sh"
    process.logged([script, "-m", "-O", obj, *fragments], log=log, cwd=tree)
    merged = (obj / ".config").rename(obj / "merged.config")
    make(tree, obj, [*arguments, f"KCONFIG_ALLCONFIG={merged}", "allnoconfig"], log)


def configure(base: Base, tree: Path, obj: Path, fragments: list[Path], log: Path) -> None:
    """Configure OBJ; HarnessError names the settings that the kernel refuses."""
    merge(tree, obj, fragments, log)
    if missing := unmet(base, fragments, obj / ".config"):
        raise HarnessError(f"the kernel's configuration refuses {', '.join(missing)}; see {log}")


def make(tree: Path, obj: Path, targets: list[str], log: Path, verbose: bool = False) -> None:
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    target = arch.current()
    cross = "" if target.native else target.program(os.environ.get("KCC", "gcc"))
    argv = ["make", "-C", str(tree), f"O={obj}", jobs, *target.make_arguments, *compiler(cross), *targets]
    process.logged(argv, log=log, env=make_environment(obj), verbose=verbose)


def _stamp(base: Base, flavour: Flavour, identity: str) -> str:
    digest = hashlib.sha256("\n".join((identity, *flavour.arguments)).encode())
    if flavour.series:
        digest.update(source.series_digest(base).encode())
    for fragment in fragment_files(flavour):
        digest.update(fragment.read_bytes())
    digest.update(process.output([arch.current().program(os.environ.get("KCC", "gcc")), "--version"]).encode())
    return digest.hexdigest()


def copy_objects(origin: Path, obj: Path) -> None:
    """Start OBJ as a copy of another object directory.

    The dependency files of host tools have absolute paths. If these stayed, make would
    rebuild objtool and therefore every object.
    """
    process.output(["cp", "-a", origin, obj])
    # The path is absolute, or relative if ccache rewrote it.
    own_name = re.compile(rf"/{re.escape(origin.name)}(?![\w-])")
    for folder in ("tools", "scripts", "arch/x86/tools"):
        for file in (obj / folder).rglob(".*"):
            if file.suffix not in (".cmd", ".d") or not file.is_file():
                continue
            text, state = file.read_text(), file.stat()
            text = text.replace(f"{origin.parent}/", f"{obj.parent}/")
            file.write_text(own_name.sub(f"/{obj.name}", text))
            os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def _seed(base: Base, flavour: Flavour, obj: Path) -> None:
    """Start OBJ from the objects of the most similar flavour that has been built."""
    if obj.exists():
        return
    near = sorted(FLAVOURS.values(), key=lambda f: f.series != flavour.series)
    for other in near:
        origin = object_dir(base, other)
        # Objects built with the series cannot start a tree without it.
        if (
            other.instrumented == flavour.instrumented
            and (flavour.series or not other.series)
            and (origin / "harness-stamp").exists()
        ):
            copy_objects(origin, obj)
            return
    obj.mkdir(parents=True)


def build(base: Base, flavour: Flavour, ksrc: Path | None = None, verbose: bool = False) -> Path:
    """The bzImage of FLAVOUR, built if its source, patches, fragments or compiler changed."""
    obj = object_dir(base, flavour)
    image = image_file(base, flavour)
    stamp = obj / "harness-stamp"

    def ready() -> bool:
        return image.exists() and stamp.exists() and stamp.read_text() == wanted

    with _locked(base, "source.lock"):
        origin = source.find(base, ksrc)
        wanted = _stamp(base, flavour, origin.identity)
    if ready():  # without waiting for another flavour that is being built
        return image
    with _locked(base, "lock"):
        if ready():
            return image
        tree = source.plain_tree(base, origin)
        if flavour.series:
            tree = source.series_tree(base, tree, source.fitted(base, origin))
        _seed(base, flavour, obj)
        stamp.unlink(missing_ok=True)
        log = obj / "build.log"
        log.unlink(missing_ok=True)
        print(f"kernel: building {base.name} {flavour.name} ({flavour.purpose}), log in {log}", flush=True)
        began = time.monotonic()
        configure(base, tree, obj, fragment_files(flavour), log)
        make(tree, obj, [*flavour.arguments, arch.current().image.name], log, verbose)
        stamp.write_text(wanted)
        print(f"kernel: built in {time.monotonic() - began:.0f} s: {image}", flush=True)
    return image
