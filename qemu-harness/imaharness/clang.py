# SPDX-License-Identifier: GPL-2.0-or-later
"""The release of clang's tools that the tree is checked with; others format and warn differently."""

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
    """Why this machine's TOOL cannot check the tree; empty if it can."""
    if shutil.which(tool) is None:
        return f"{tool} is not installed"
    here = major(process.output([tool, "--version"]))
    return "" if here == VERSION else f"the tree is checked with {tool} {VERSION}; this is {tool} {here}"
