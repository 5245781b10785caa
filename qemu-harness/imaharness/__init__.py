# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a kernel, boot it in QEMU with a software TPM, run a command, prove things."""
