# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the guest's initramfs: busybox, the tools of the tests, and the files of one run.

The part that all runs share is kept in build/images under a digest of its inputs.
The run's own part (the project's programs, --copy, the command) is a second archive
behind it, which the kernel unpacks over the first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import arch, paths, process, sysroot, userspace
from .cpio import CpioWriter
from .errors import HarnessError, UsageError

# Programs that every guest gets, besides busybox, if the host has them.
_TOOLS = ("evmctl", "tpm2", "kexec", "getfattr", "setfattr")
# tpm2-tools are one program under many names.
_TPM2_NAMES = ("tpm2_pcrread", "tpm2_pcrextend", "tpm2_quote", "tpm2_checkquote",
               "tpm2_createprimary", "tpm2_createek", "tpm2_createak", "tpm2_readclock",
               "tpm2_getcap", "tpm2_flushcontext", "tpm2_pcrreset", "tpm2_startup",
               "tpm2_shutdown", "tpm2_readpublic", "tpm2_create", "tpm2_load",
               "tpm2_evictcontrol")  # fmt: skip
# tpm2-tools load their transport, and the C library loads libgcc_s to cancel a thread.
_LOADED_AT_RUN_TIME = ("libtss2-tcti-device.so.0", "libgcc_s.so.1")
_DIRECTORIES = ("dev", "proc", "sys", "tmp", "run", "run/lock", "out", "disk", "mnt", "root", "var/lib",
                "var/tmp", "boot", "harness")  # fmt: skip
GUEST_HOME = "/root"
GUEST_BIN = "/usr/local/bin"
GUEST_SELFTESTS = "/selftests"


@dataclass(frozen=True)
class Copy:
    """A host file or directory and its absolute place in the guest."""

    source: Path
    dest: str


@dataclass
class Contents:
    """What one run adds to the shared image."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    copies: Sequence[Copy] = ()
    policy: Path | None = None


def parse_copy(text: str) -> Copy:
    """Parse FILE[:DEST]. Without DEST, programs go to the PATH and other files to the command's directory."""
    name, colon, dest = text.partition(":")
    source = Path(name)
    if not source.exists():
        raise UsageError(f"--copy {text}: no such file")
    if colon and not dest.startswith("/"):
        raise UsageError(f"--copy {text}: the path in the guest must be absolute")
    if not colon:
        runs = source.is_file() and os.access(source, os.X_OK)
        dest = f"{GUEST_BIN if runs else GUEST_HOME}/{source.name}"
    elif dest.endswith("/"):
        dest += source.name
    return Copy(source, dest)


def is_elf(file: Path) -> bool:
    with file.open("rb") as f:
        return f.read(4) == b"\x7fELF"


def libraries(program: Path) -> dict[str, Path]:
    """The shared libraries of PROGRAM and its loader: guest path to host file."""
    if not arch.current().native:
        return sysroot.libraries(program)
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    if done.returncode != 0:  # static, or not an ELF file
        return {}
    if missing := re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE):
        raise HarnessError(f"{program} needs {', '.join(missing)}, which this machine does not have")
    found = re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", done.stdout, re.MULTILINE)
    return {name: Path(name).resolve() for name in found}


def _library_named(name: str) -> dict[str, Path]:
    """A library that is loaded at run time, and the libraries that it needs."""
    if not arch.current().native:
        return sysroot.library(name)
    for line in process.output(["/sbin/ldconfig", "-p"]).splitlines():
        entry, arrow, place = line.strip().partition(" => ")
        if arrow and entry.split()[0] == name and "x86-64" in entry:
            return {place: Path(place).resolve(), **libraries(Path(place))}
    return {}


def _program_files(programs: Iterable[Path]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for program in programs:
        files.update(libraries(program))
    return files


def tool(name: str) -> Path | None:
    """The program NAME of this machine, or of the sysroot for another one."""
    if not arch.current().native:
        return sysroot.program(name)
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return None if found is None else Path(found)


def _busybox() -> Path:
    found = tool("busybox")
    if found is None or libraries(found):
        raise HarnessError("a static busybox is missing; run 'make deps'")
    return found


def _shared_files() -> dict[str, Path]:
    """Guest path to host file, for all files that the shared image takes from the host."""
    files = {"/bin/busybox": _busybox(), "/init": paths.GUEST / "init"}
    tools = [found for name in _TOOLS if (found := tool(name)) is not None]
    files.update({f"/usr/bin/{file.name}": file.resolve() for file in tools})
    files.update(_program_files(tools))
    for name in _LOADED_AT_RUN_TIME:
        files.update(_library_named(name))
    return files


def _digest(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name, file in sorted(files.items()):
        state = file.stat()
        digest.update(f"{name} {file} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def shared_image() -> Path:
    """The archive that all runs share, made again if one of its files changed."""
    files = _shared_files()
    archive = paths.IMAGES / f"{_digest(files)}.cpio"
    if archive.exists():
        return archive
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(f".{os.getpid()}")
    with part.open("wb") as out:
        cpio = CpioWriter(out)
        for name in _DIRECTORIES:
            cpio.directory("/" + name)
        cpio.device("/dev/console", 5, 1)
        for name, file in files.items():
            cpio.copy(name, file)
        for name in process.output([shutil.which("busybox") or "busybox", "--list-full"]).split():
            if "/" + name not in files:
                cpio.symlink("/" + name, "/bin/busybox")
        if "/usr/bin/tpm2" in files:
            for name in _TPM2_NAMES:
                cpio.symlink(f"/usr/bin/{name}", "tpm2")
        cpio.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        cpio.file("/etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        cpio.close()
    return part.rename(archive)


def project_programs() -> dict[str, Path]:
    """The project's programs that have been built: name to file."""
    found: dict[str, Path] = {}
    for name in userspace.PROGRAMS:
        candidates = [
            f for f in paths.USERSPACE_BUILD.rglob(name) if f.is_file() and os.access(f, os.X_OK)
        ]
        if candidates:
            found[name] = min(candidates, key=lambda f: len(f.parts))
    return found


def _stripped(program: Path) -> Path:
    """PROGRAM without its debug information, which would take most of the guest's memory."""
    small = paths.BUILD / "stripped" / program.name
    if not small.exists() or small.stat().st_mtime_ns < program.stat().st_mtime_ns:
        small.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=small.parent, delete=False) as new:
            process.output([arch.current().program("strip"), "--strip-debug", "-o", new.name, program])
        Path(new.name).chmod(0o755)
        os.replace(new.name, small)
    return small


def _tree(source: Path, dest: str) -> Iterable[tuple[str, Path]]:
    if source.is_dir():
        for file in sorted(f for f in source.rglob("*") if f.is_file()):
            yield f"{dest}/{file.relative_to(source)}", file
    else:
        yield dest, source


def _run_files(contents: Contents) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for name, program in project_programs().items():
        files[f"{GUEST_BIN}/{name}"] = _stripped(program)
    if paths.SELFTESTS_BUILD.is_dir():
        files.update(_tree(paths.SELFTESTS_BUILD, GUEST_SELFTESTS))
    for copy in contents.copies:
        files.update(_tree(copy.source, copy.dest))
    files.update(_program_files([f for f in files.values() if is_elf(f)]))
    return files


def command_script(contents: Contents) -> str:
    """The shell script that the guest's init runs."""
    lines = ["#!/bin/sh"]
    lines += [f"export {k}={shlex.quote(v)}" for k, v in contents.env.items()]
    lines.append(f"exec {shlex.join(contents.command)}")
    return "\n".join(lines) + "\n"


def write_initrd(contents: Contents, initrd: Path) -> None:
    """Write the complete initramfs of one run."""
    shared = shared_image()
    with initrd.open("wb") as out:
        with shared.open("rb") as common:
            shutil.copyfileobj(common, out, 1 << 20)
        cpio = CpioWriter(out)
        has_already = _shared_files()
        for name, file in _run_files(contents).items():
            if has_already.get(name) != file:
                cpio.copy(name, file)
        cpio.file("/harness/command", command_script(contents).encode(), 0o755)
        if contents.policy is not None:
            cpio.copy("/harness/policy", contents.policy)
        cpio.close()
