# SPDX-License-Identifier: GPL-2.0-or-later
"""What the harness raises, and the exit statuses that it adds to the guest's own."""

from __future__ import annotations

EXIT_TIMEOUT = 124
EXIT_HARNESS = 125


class HarnessError(Exception):
    """The harness could not do its part; the text is for a person."""


class UsageError(HarnessError):
    """What was asked for makes no sense; nothing was started."""
