# SPDX-License-Identifier: GPL-2.0-or-later
"""The release of clang's checkers that the tree is kept clean for: each release finds and formats otherwise."""

from __future__ import annotations

import re
import shutil

from . import process
from .errors import HarnessError

VERSION = 14  # Debian 12's


def major(version_text: str) -> int:
    """The major version in what 'TOOL --version' prints."""
    found = re.search(r"version (\d+)\.", version_text)
    if found is None:
        raise HarnessError(f"no version in {version_text!r}")
    return int(found[1])


def unsuitable(tool: str) -> str:
    """Why TOOL cannot judge this tree here; empty if it can."""
    if shutil.which(tool) is None:
        return f"{tool} is not installed"
    here = major(process.output([tool, "--version"]))
    return "" if here == VERSION else f"the tree is kept clean for {tool} {VERSION}; this is {tool} {here}"
