# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the kernel's KUnit tests in a guest and read their results from debugfs."""

from __future__ import annotations

import re
from pathlib import Path

from . import given
from .bases import Base
from .guest import GuestSpec, run_guest
from .ktap import Document
from .report import Status, Suite
from .tpm import TpmSpec

_MARK = "==> "
_COMMAND = f"""
for results in /sys/kernel/debug/kunit/*/results; do
	suite=${{results%/results}}
	echo "{_MARK}${{suite##*/}}"
	cat "$results"
done
"""


def parse(text: str, suite: Suite) -> None:
    """Add the results from debugfs to SUITE: one KTAP document after each mark."""
    parts = re.split(rf"^{_MARK}(.*)$", text, flags=re.MULTILINE)
    for name, document in zip(parts[1::2], parts[2::2], strict=True):
        Document(document).add_to(suite, "" if name in document else f"{name}.")
    if not suite.cases:
        suite.add("kunit", Status.FAIL, "debugfs has no KUnit results")


def run(base: Base, ksrc: Path | None = None, flavour: str = "patched") -> Suite:
    """Run every KUnit suite of the flavour."""
    name = "kunit" if flavour == "patched" else f"kunit-{flavour}"
    suite = Suite(name)
    if (reason := given.reason_against(flavour, ["kunit"])) is not None:
        suite.add(name, Status.SKIP, reason)
        return suite
    result = run_guest(
        GuestSpec(
            command=["sh", "-c", _COMMAND],
            base=base.name,
            flavour=flavour,
            kernel=given.image(),
            ksrc=ksrc,
            tpm=TpmSpec(version="none"),
            append=["kunit.enable=1"],
            name=name,
        )
    )
    suite.seconds = result.seconds
    parse(result.stdout.decode(errors="replace"), suite)
    if not result.ok:
        suite.add("guest", Status.FAIL, result.explain())
    return suite
