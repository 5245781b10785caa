# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's directories. Everything that is built goes below one of them."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HARNESS = ROOT / "qemu-harness"
CONFIGS = HARNESS / "configs"
GUEST = HARNESS / "guest"
_BUILD = Path(os.environ.get("IMA_BUILD_DIR") or ROOT / "build").absolute()
DOWNLOADS = _BUILD / "downloads"
# What is built for another machine is apart; arch.py refuses an unknown ARCH.
BUILD = _BUILD if os.environ.get("ARCH") in (None, "", "x86_64") else _BUILD / os.environ["ARCH"]
KERNELS = BUILD / "kernel"
IMAGES = BUILD / "images"
RESULTS = BUILD / "results"
USERSPACE_BUILD = BUILD / "userspace"
SELFTESTS_BUILD = BUILD / "selftests"


def patch_dir(base: str) -> Path:
    return ROOT / "kernel-patches" / base
