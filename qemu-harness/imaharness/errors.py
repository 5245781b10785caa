# SPDX-License-Identifier: GPL-2.0-or-later
"""What the harness raises, and the exit statuses that it adds to the guest's own."""

from __future__ import annotations

EXIT_TIMEOUT = 124
EXIT_HARNESS = 125


class HarnessError(Exception):
    """The harness failed; the text is for the user."""


class UsageError(HarnessError):
    """The request makes no sense; nothing was started."""
