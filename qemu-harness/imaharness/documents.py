# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the documents of the kernel that the series touches, with Sphinx."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import process

_TOP = "Documentation/"
_COMPLAINT = re.compile(r"\b(?:WARNING|ERROR|SEVERE|CRITICAL): ")


def unsuitable() -> str:
    """Why the documents cannot be built here; empty if they can."""
    return "" if shutil.which("sphinx-build") else "sphinx-build is not installed"


def folders(touched: Iterable[str]) -> list[str]:
    """The folders of the touched documents, as SPHINXDIRS names them."""
    parts = [name.split("/") for name in touched if name.startswith(_TOP) and name.endswith(".rst")]
    return sorted({part[1] for part in parts if len(part) > 2})


def complaints(log: str, touched: Iterable[str]) -> list[str]:
    """What Sphinx says about the touched documents. It warns about others in any tree."""
    ours = [name for name in touched if name.startswith(_TOP)]
    return [line for line in log.splitlines() if _COMPLAINT.search(line) and any(name in line for name in ours)]


def check(tree: Path, touched: Iterable[str], out: Path) -> list[str]:
    """Build the folders into OUT and return the complaints; HarnessError if that fails."""
    touched = list(touched)
    # Sphinx does not repeat the warnings about what it read before.
    shutil.rmtree(out, ignore_errors=True)
    log = out.with_name(f"{out.name}.log")
    log.unlink(missing_ok=True)
    argv = ["make", "-C", str(tree), "htmldocs", f"SPHINXDIRS={' '.join(folders(touched))}", f"BUILDDIR={out}"]
    process.logged(argv, log=log)
    return complaints(log.read_text(errors="replace"), touched)
