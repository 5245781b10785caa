# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel image that was built elsewhere (KERNEL=bzImage): what it has, and what it lacks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import kernel
from .bases import DEFAULT_BASE, find_base
from .errors import HarnessError, UsageError
from .guest import GuestResult, GuestSpec, Outcome, run_guest

_BOOT_SECONDS = 180.0
_CONFIG_MARK = "== config"
_IMA = "/sys/kernel/security/ima"


@dataclass(frozen=True)
class Feature:
    """A feature that tests need in a kernel."""

    test: str  # a shell command that succeeds in a guest that has it
    words: str
    symbols: tuple[str, ...]  # the options that enable it


FEATURES: Mapping[str, Feature] = {
    "ima": Feature(f"[ -e {_IMA}/ascii_runtime_measurements ]", "measurement list", ("IMA", "SECURITYFS")),
    "policy": Feature(f"[ -w {_IMA}/policy ]", "writable IMA policy", ("IMA_WRITE_POLICY",)),
    "snapshot": Feature(f"[ -e {_IMA}/snapshot ]", "snapshot file", ("IMA_SNAPSHOT",)),
    "tpm": Feature("[ -e /dev/tpm0 ]", "driver of the guest's TPM", ("TCG_TIS", "TCG_CRB")),
    "kunit": Feature("[ -d /sys/kernel/debug/kunit ]", "KUnit results in debugfs", ("KUNIT", "KUNIT_DEBUGFS")),
    "kmemleak": Feature("[ -e /sys/kernel/debug/kmemleak ]", "kmemleak", ("DEBUG_KMEMLEAK",)),
    "faults": Feature("[ -d /sys/kernel/debug/failslab ]", "fault injection", ("FAILSLAB", "FAULT_INJECTION_DEBUG_FS")),
    "disk": Feature(
        "grep -qw ext4 /proc/filesystems && [ -d /sys/bus/virtio/drivers/virtio_blk ]",
        "disk with ext4",
        ("VIRTIO_BLK", "EXT4_FS"),
    ),
    "kexec": Feature("[ -e /sys/kernel/kexec_loaded ]", "kexec that carries the list", ("KEXEC_FILE", "IMA_KEXEC")),
    "fuse": Feature("grep -qw fuse /proc/filesystems", "FUSE", ("FUSE_FS",)),
    "apparmor": Feature("[ -d /sys/module/apparmor ]", "AppArmor", ("SECURITY_APPARMOR",)),
    "cgroups": Feature("grep -qw cgroup2 /proc/filesystems", "control groups, which systemd needs", ("CGROUPS",)),
}
# Last words on the console of a guest that cannot run the harness's init, and the options that it lacks.
_SIGNS = (
    (r"harness: the virtio ports did not appear", "VIRTIO_MENU PCI VIRTIO_PCI VIRTIO_CONSOLE SYSFS DEVTMPFS"),
    (r"unable to mount root|cannot open root device|no filesystem could mount", "BLK_DEV_INITRD TMPFS DEVTMPFS"),
    (r"no working init|failed to execute /init|requested init .* failed", "BINFMT_ELF BINFMT_SCRIPT"),
)
_SILENT = "64BIT PRINTK TTY SERIAL_8250 SERIAL_8250_CONSOLE"
_ALL = "BLK_DEV_INITRD BINFMT_ELF BINFMT_SCRIPT PROC_FS SYSFS DEVTMPFS TMPFS UNIX98_PTYS ACPI PCI VIRTIO_PCI VIRTIO_CONSOLE"
_SHARES = "NET_9P NET_9P_VIRTIO 9P_FS"


@dataclass(frozen=True)
class Missing:
    """A symbol whose value is not what the fragments ask for."""

    symbol: str
    wanted: str
    found: str
    purpose: str

    def __str__(self) -> str:
        module = ", and the guest loads no modules" if self.found == "m" else ""
        return f"{self.symbol}={self.wanted} (it has {self.found}{module}): {self.purpose}"


@dataclass(frozen=True)
class Facts:
    """What one boot of the image showed."""

    release: str
    features: frozenset[str]
    config: Mapping[str, str] | None  # None without /proc/config.gz

    def reason_against(self, name: str) -> str | None:
        """Why a test that needs the feature cannot run, or None."""
        feature = FEATURES[name]
        options = ", ".join(f"CONFIG_{s}" for s in feature.symbols)
        reason = f"KERNEL= has no {feature.words} ({options})"
        if name not in self.features:
            return reason
        # Only the configuration shows whether kexec carries the list.
        if name == "kexec" and self.config is not None and self.config.get("CONFIG_IMA_KEXEC", "n") != "y":
            return reason
        return None

    def missing(self) -> list[Missing]:
        """The options of the harness's own kernel that this one does not have."""
        if self.config is None:
            return []
        fragments = kernel.fragment_files(kernel.FLAVOURS["patched"])
        purposes = purposes_of(fragments)
        lacking = {f"CONFIG_{name}" for name in find_base(os.environ.get("BASE") or DEFAULT_BASE).lacks}
        return [
            Missing(symbol, wanted, found, purposes[symbol])
            for symbol, wanted in kernel.requested(fragments).items()
            if symbol not in lacking and (found := self.config.get(symbol, "n")) != wanted
        ]


def image() -> Path | None:
    """The image that KERNEL names; UsageError if the file does not exist."""
    name = os.environ.get("KERNEL")
    if not name:
        return None
    file = Path(name).expanduser().absolute()
    if not file.is_file():
        raise UsageError(f"KERNEL={name}: no such file; it must be a bzImage")
    return file


def flavour_reason(flavour: str) -> str | None:
    """Why a test of that flavour cannot run on the image of KERNEL=; None if it can or KERNEL is not set."""
    if flavour == "patched" or image() is None:
        return None
    return f"it needs the flavour {flavour!r}; KERNEL= names an image, so no kernel is built"


def reason_against(flavour: str, features: Iterable[str]) -> str | None:
    """Why a test that needs FLAVOUR and FEATURES cannot run on the image of KERNEL=; None as above."""
    file = image()
    if file is None:
        return None
    if (reason := flavour_reason(flavour)) is not None:
        return reason
    reasons = (facts(file).reason_against(name) for name in features)
    return next((reason for reason in reasons if reason is not None), None)


def purposes_of(fragments: Iterable[Path]) -> dict[str, str]:
    """For each symbol the nearest comment above it in its fragment."""
    found: dict[str, str] = {}
    for fragment in fragments:
        comment: list[str] = []
        ended = True  # the next comment line starts a new comment
        for line in fragment.read_text().splitlines():
            if symbol := re.match(r"(?:# )?(CONFIG_\w+)(?:=| is not set)", line):
                found[symbol.group(1)] = " ".join(comment)
                ended = True
            elif line.startswith("# ") and "SPDX" not in line:
                comment = [line[2:]] if ended else [*comment, line[2:]]
                ended = False
    return found


def _script() -> str:
    lines = ["uname -r", "grep -q ' /out 9p ' /proc/mounts && echo feature out"]
    lines += [f"{{ {feature.test}; }} && echo feature {name}" for name, feature in FEATURES.items()]
    return "\n".join([*lines, f"echo '{_CONFIG_MARK}'", "[ ! -e /proc/config.gz ] || zcat /proc/config.gz"])


def parse(text: str) -> Facts:
    """What the script printed."""
    head, _, config_text = text.partition(f"{_CONFIG_MARK}\n")
    release, *lines = head.splitlines() or [""]
    features = frozenset(line.removeprefix("feature ") for line in lines if line.startswith("feature "))
    return Facts(release, features, kernel.parse_config(config_text) if config_text else None)


def likely_options(console: str) -> str:
    """The options that a kernel most likely lacks if this is its console and it gave no result."""
    if not console.strip():
        return f"It printed nothing on the serial console. Is it a bzImage for x86-64? {_options(_SILENT)}"
    for sign, options in _SIGNS:
        if re.search(sign, console, re.IGNORECASE):
            return _options(options)
    return _options(_ALL)


def _options(names: str) -> str:
    return f"These options must be built in: {', '.join(f'CONFIG_{n}' for n in names.split())}"


def _unusable(file: Path, result: GuestResult) -> HarnessError:
    console = (result.directory / "console.log").read_text(errors="replace")
    return HarnessError(f"KERNEL={file} cannot run the guest: {result.explain()}\n{likely_options(console)}")


@cache
def facts(file: Path) -> Facts:
    """Boot the image once and inspect it. If it cannot run a guest, HarnessError names the likely options."""
    command = ["sh", "-c", _script()]
    spec = GuestSpec(command, kernel=file, accel=os.environ.get("ACCEL") or "auto", timeout=_BOOT_SECONDS, name="image")
    result = run_guest(spec)
    if result.outcome is not Outcome.EXITED:
        raise _unusable(file, result)
    found = parse(result.stdout.decode(errors="replace"))
    if "out" not in found.features:
        raise HarnessError(f"KERNEL={file} cannot mount /out, where results go. {_options(_SHARES)}")
    return found


def describe(file: Path, found: Facts) -> list[str]:
    """For the user: what the image is and what it lacks."""
    lines = [f"image: {file} is Linux {found.release}"]
    lines += [f"image: {reason}" for name in FEATURES if (reason := found.reason_against(name)) is not None]
    if found.config is None:
        return [*lines, "image: it has no /proc/config.gz (CONFIG_IKCONFIG_PROC): its options are unknown"]
    missing = found.missing()
    asked = len(kernel.requested(kernel.fragment_files(kernel.FLAVOURS["patched"])))
    lines.append(f"image: {len(missing)} of the {asked} options that the harness asks for differ")
    return [*lines, *(f"  {m}" for m in missing)]
