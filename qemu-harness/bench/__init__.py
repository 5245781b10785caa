# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure the size and the speed of the snapshot: 'make bench'."""
