# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a program spends its time, according to perf."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .tables import Table

# Groups by object (pattern with ^) or symbol. A sample belongs to the first that matches.
_GROUPS = (
    ("hashes (OpenSSL)", r"^libcrypto"),
    ("starting the program (ld.so)", r"^ld-linux"),
    (
        "reading and parsing records",
        r"LogReader|ParseFields|CheckField|SplitDigest|KernelDigest|TemplateCache|LoadU|EventName|IsAggregate",
    ),
    ("batches and threads", r"DigestPipeline|RecordBatch|MoveViews|Moved|pthread|futex|condition_variable"),
    ("replay and PCRs", r"Replay|Digest|Hasher|MatchFixed|Matches|VerifyPass"),
    ("allocation and copies (libc)", r"^libc\.so|^libstdc"),
    ("kernel", r"^\[kernel|^\[unknown\]|^\[k"),
)


def profile(argv: Sequence[str]) -> dict[str, float] | None:
    """Percentages by group; None if perf is not installed or may not sample."""
    if not shutil.which("perf"):
        return None
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "perf.data"
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "5000", "-o", str(data), "--", *argv]
        done = subprocess.run(record, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0 or not data.exists():
            return None
        report = ["perf", "report", "-i", str(data), "--stdio", "-q", "--sort", "dso,symbol"]
        done_report = subprocess.run(report, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return group(done_report.stdout.splitlines())


def group(lines: Sequence[str]) -> dict[str, float]:
    """Sum the percentages of 'perf report --sort dso,symbol' by group."""
    found: dict[str, float] = {}
    for line in lines:
        parts = re.match(r"\s*([\d.]+)%\s+(\S+)\s+(.*)", line)
        if not parts:
            continue
        dso, symbol = parts[2], parts[3]
        matching = (n for n, pattern in _GROUPS if re.search(pattern, dso if pattern.startswith("^") else symbol))
        name = next(matching, "other")
        found[name] = found.get(name, 0.0) + float(parts[1])
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def table(found: dict[str, float]) -> Table:
    rows = [[name, f"{share:.1f} %"] for name, share in found.items()]
    return Table("Where verify spends its time (100000 records, sha256, one core)", ["", "samples"], rows)
