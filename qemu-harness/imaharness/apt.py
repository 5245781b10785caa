# SPDX-License-Identifier: GPL-2.0-or-later
"""Download a package of another Debian suite without touching the system's apt.

Mirrors, keys, proxies and credentials are those of the system's apt. The package
lists and the cache are private.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import process
from .errors import HarnessError

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def mirrors() -> list[str]:
    """The Debian archives in apt's configuration, without security archives."""
    lines = process.output(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(SUITE) $(ORIGIN)",
            "Created-By: Packages",
        ]
    ).splitlines()
    found: dict[str, bool] = {}  # in order; the value is whether its origin is Debian
    for line in lines:
        uri, _, rest = line.partition(" ")
        suite, _, origin = rest.partition(" ")
        if not suite.endswith("-security"):
            found[uri] = found.get(uri, False) or origin == "Debian"
    # Before the first 'apt-get update' the origin of a source is not known.
    return [u for u, debian in found.items() if debian] or list(found)


def download(package: str, suite: str, into: Path) -> Path:
    """Download PACKAGE of SUITE into INTO and return the file; HarnessError if that fails."""
    if shutil.which("apt-get") is None:
        raise HarnessError("this machine has no apt-get")
    state = into / "apt"
    for sub in ("lists/partial", "cache/archives/partial"):
        (state / sub).mkdir(parents=True, exist_ok=True)
    signed_by = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    complaints = []
    for mirror in mirrors():
        sources = state / "sources.list"
        sources.write_text(f"deb {signed_by}{mirror} {suite} main\n")
        options = [
            f"-oDir::Etc::sourcelist={sources}",
            "-oDir::Etc::sourceparts=-",
            "-oDir::Etc::preferences=-",
            "-oDir::Etc::preferencesparts=-",
            f"-oDir::State::lists={state / 'lists'}",
            f"-oDir::Cache={state / 'cache'}",
            "-oAPT::Sandbox::User=",
            "-oAPT::Update::Error-Mode=any",
        ]
        try:
            process.output(["apt-get", *options, "-qq", "update"])
            process.output(["apt-get", *options, "-qq", "download", package], cwd=into)
        except HarnessError as e:
            complaints.append(str(e))
            continue
        for found in sorted(into.glob(f"{package}_*.deb")):
            return found
    raise HarnessError("; ".join(complaints) or "apt has no Debian source configured")
