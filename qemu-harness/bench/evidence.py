# SPDX-License-Identifier: GPL-2.0-or-later
"""verify --evidence on the host: memory and time for a long log, and for many machines with a state each.

The evidence is made here, with a key of OpenSSL instead of one in a TPM.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaharness import paths, process
from imaharness.errors import HarnessError

from . import host, hostlogs
from .guests import Setup
from .hostlogs import HostLog
from .tables import Outcome, Table, Target

DIRECTORY = paths.BUILD / "bench" / "evidence"
_SIZES = (100_000, 1_000_000)
_MACHINES = 100
_RECORDS_EACH = 10_000
_PEAK_MIB = 32.0
_NONCE = "00112233"
_PCR = 10
# TPM 2.0 part 2: TPM_GENERATED_VALUE, TPM_ST_ATTEST_QUOTE, TPM_ALG_SHA256, TPM_ALG_ECDSA.
_MAGIC, _ATTEST_QUOTE, _SHA256, _ECDSA = 0xFF544347, 0x8018, 0x000B, 0x0018


def _tpm2b(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def attest(nonce: bytes, pcr: bytes, reset_count: int, clock: int) -> bytes:
    """TPMS_ATTEST of a quote of PCR 10 in the bank sha256 (part 2, section 10.12)."""
    clock_info = struct.pack(">QIIB", clock, reset_count, 0, 1)
    selection = struct.pack(">IHB", 1, _SHA256, 3) + (1 << _PCR).to_bytes(3, "little")
    return (
        struct.pack(">IH", _MAGIC, _ATTEST_QUOTE)
        + _tpm2b(b"")
        + _tpm2b(nonce)
        + clock_info
        + bytes(8)  # firmwareVersion
        + selection
        + _tpm2b(hashlib.sha256(pcr).digest())
    )


def signature(der: bytes) -> bytes:
    """TPMT_SIGNATURE of an ECDSA signature as OpenSSL writes it: a sequence of two short integers."""
    numbers, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        numbers += _tpm2b(der[at + 2 : at + 2 + size].lstrip(b"\0"))
        at += 2 + size
    return struct.pack(">HH", _ECDSA, _SHA256) + numbers


@dataclass(frozen=True)
class Key:
    """A signing key of OpenSSL."""

    private: Path
    public: Path

    @classmethod
    def make(cls, directory: Path) -> Key:
        key = cls(directory / "key", directory / "ak.pem")
        process.output(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key.private])
        process.output(["openssl", "pkey", "-in", key.private, "-pubout", "-out", key.public])
        return key

    def sign(self, message: bytes) -> bytes:
        argv = ["openssl", "dgst", "-sha256", "-sign", str(self.private)]
        return signature(subprocess.run(argv, input=message, capture_output=True, check=True).stdout)


def make(log: HostLog, key: Key, out: Path, *, later: bool = False, after: int = 0) -> None:
    """Write evidence of LOG to OUT, with the segments that follow segment AFTER."""
    kernel = log.directory / "later" if later else log.directory
    boot = log.directory / "store/boots/00000001"
    session = (boot / "session.json").read_bytes()
    pcrs = dict(line.split(": ") for line in (kernel / "pcr-sha256").read_text().splitlines())
    pcr = bytes.fromhex(pcrs[f"PCR-{_PCR}"])
    message = attest(bytes.fromhex(_NONCE), pcr, json.loads(session).get("reset_count") or 0, 1000 + later)
    segments = [path for path in sorted(boot.glob("*.ima")) if int(path.stem) > after]
    manifest: dict[str, Any] = {"format": 1, "session": True, "before": after > 0, "staged": False}
    manifest["segments"] = [int(path.stem) for path in segments]
    entries: list[tuple[str, bytes | Path]] = [
        ("manifest.json", (json.dumps(manifest, separators=(",", ":")) + "\n").encode()),
        ("session.json", session),
        ("quote.msg", message),
        ("quote.sig", key.sign(message)),
        ("quote.pcrs.txt", f"  sha256:\n    {_PCR}: 0x{pcr.hex().upper()}\n".encode()),
    ]
    if after > 0:
        entries.append(("before.json", boot / f"{after:08}.json"))
    entries += [(f"{path.stem}.json", path.with_suffix(".json")) for path in segments]
    entries += [(path.name, path) for path in segments]
    entries.append(("live.ima", kernel / "securityfs/ima/binary_runtime_measurements"))
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o600
            info.size = len(content) if isinstance(content, bytes) else content.stat().st_size
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
                archive.addfile(info, source)


def _verify(evidence: Path, key: Key, state: Path | None = None) -> list[str]:
    argv = [host.program(), "verify", "--evidence", str(evidence), "--ak", str(key.public), "--nonce", _NONCE]
    argv.append("--ignore-reset-count")  # the session of hostlogs has none
    return argv if state is None else [*argv, "--state", str(state)]


def _long(key: Key) -> list[dict[str, Any]]:
    """Time and memory for long logs, beside those of 'verify' for the same log."""
    figures = []
    for records in _SIZES:
        log = hostlogs.make(host.BUILD / "bench", DIRECTORY / str(records), records, ("sha256",))
        evidence = DIRECTORY / "long.tar"
        make(log, key, evidence)
        measured = host.once(_verify(evidence, key))
        plain = host.once([host.program(), *log.options(), "verify", *log.pcrs()])
        figures.append({"records": records, "bytes": evidence.stat().st_size, "evidence": measured, "verify": plain})
        shutil.rmtree(log.directory)
    return figures


def _opened(argv: Sequence[str], log: Path) -> int | None:
    """How many files below DIRECTORY a command opens; None without strace."""
    if not shutil.which("strace"):
        return None
    process.output(["strace", "-f", "-e", "trace=openat", "-o", log, *argv])
    lines = log.read_text(errors="replace").splitlines()
    return sum(f'"{DIRECTORY}' in line and " = -1 " not in line and "O_DIRECTORY" not in line for line in lines)


def _many(key: Key) -> dict[str, Any]:
    """A loop over the evidence of many machines, first without and then with a state."""
    log = hostlogs.make(host.BUILD / "bench", DIRECTORY / "machine", _RECORDS_EACH, ("sha256",))
    first, rest = DIRECTORY / "first.tar", DIRECTORY / "rest.tar"
    make(log, key, first)
    last = max(int(path.stem) for path in (log.directory / "store/boots/00000001").glob("*.ima"))
    make(log, key, rest, later=True, after=last)
    all_ns = new_ns = 0
    for machine in range(_MACHINES):
        state = DIRECTORY / f"state-{machine}"
        all_ns += host.once(_verify(first, key, state))["wall_ns"]
        new_ns += host.once(_verify(rest, key, state))["wall_ns"]
    opened = _opened(_verify(rest, key, DIRECTORY / "state-0"), DIRECTORY / "strace")
    return {
        "machines": _MACHINES,
        "records": _RECORDS_EACH,
        "later": hostlogs.LATER,
        "all_ns": all_ns,
        "new_ns": new_ns,
        "opened": opened,
        "all_bytes": first.stat().st_size,
        "new_bytes": rest.stat().st_size,
    }


def measure(setup: Setup) -> Outcome:
    del setup  # no guest
    if not shutil.which("openssl"):
        raise HarnessError("openssl is not installed; scripts/deps installs it")
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    key = Key.make(DIRECTORY)
    outcome = Outcome("evidence", figures={"long": _long(key), "many": _many(key)})
    outcome.tables = [_long_table(outcome.figures["long"]), _many_table(outcome.figures["many"])]
    peak = outcome.figures["long"][-1]["evidence"]["peak_kib"] / 1024
    promise = f"peak memory of verify --evidence at {_SIZES[-1]} records under {_PEAK_MIB:g} MiB"
    outcome.targets = [Target(promise, f"{peak:.1f} MiB", peak < _PEAK_MIB)]
    shutil.rmtree(DIRECTORY)
    return outcome


def _long_table(figures: Sequence[dict[str, Any]]) -> Table:
    head = ["records", "MB", "verify --evidence", "peak MiB", "verify", "peak MiB"]
    rows = []
    for log in figures:
        row = [str(log["records"]), f"{log['bytes'] / 1e6:.1f}"]
        for name in ("evidence", "verify"):
            row += [f"{log[name]['wall_ns'] / 1e9:.2f} s", f"{log[name]['peak_kib'] / 1024:.1f}"]
        rows.append(row)
    return Table("One machine, whole programs, one run", head, rows)


def _many_table(many: dict[str, Any]) -> Table:
    head = [f"{many['machines']} machines, {many['records']} records each", "seconds", "KB each", "files opened each"]
    opened = "not counted: no strace" if many["opened"] is None else str(many["opened"])
    rows = [
        ["the whole log, no state yet", f"{many['all_ns'] / 1e9:.2f}", f"{many['all_bytes'] / 1e3:.0f}", ""],
        [
            f"then {many['later']} new records, with a state each",
            f"{many['new_ns'] / 1e9:.2f}",
            f"{many['new_bytes'] / 1e3:.0f}",
            opened,
        ],
    ]
    return Table("A loop, one process at a time", head, rows)
