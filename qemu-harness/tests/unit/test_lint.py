# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of the source text: which files need a licence line."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import support
from imaharness import lint, paths


class LicenceLines(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(paths, "ROOT", self.tmp))

    def bare(self, name: str, content: bytes) -> list[Path]:
        file = self.tmp / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return lint.without_licence([file])

    def test_a_file_without_one_is_named(self) -> None:
        self.assertEqual(self.bare("scripts/a", b"#!/bin/sh\n"), [Path("scripts/a")])

    def test_a_file_with_one_is_not(self) -> None:
        self.assertEqual(self.bare("scripts/a", b"#!/bin/sh\n# SPDX-License-Identifier: MIT\n"), [])

    def test_what_a_profiler_left_is_named(self) -> None:
        self.assertEqual(self.bare("perf.data", b"PERFILE2\0\0\0"), [Path("perf.data")])

    def test_seeds_and_data_have_none(self) -> None:
        for name in ("userspace/fuzz/corpus/log/cut", "userspace/tests/data/log", "a.ima", "a.patch"):
            with self.subTest(name):
                self.assertEqual(self.bare(name, b"\0\1"), [])
