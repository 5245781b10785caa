# SPDX-License-Identifier: GPL-2.0-or-later
"""Which commands are read from README.md, and how they are run."""

from __future__ import annotations

import contextlib
import io
import unittest
from unittest import mock

import support
from imaharness import paths, readme

TEXT = """
Text.

    cd linux                 # a tree
    echo first >>ran; pwd    # a comment
    false

```
    not a command
```

    make vm
"""


class Commands(unittest.TestCase):
    def test_they_are_the_lines_of_indented_blocks(self) -> None:
        self.assertEqual(readme.commands(TEXT), ["cd linux && echo first >>ran; pwd", "false", "make vm"])

    def test_what_is_left_out_is_in_the_readme(self) -> None:
        self.assertLessEqual(set(readme.LEFT_OUT), set(readme.commands(readme.README.read_text())))


class Run(support.TemporaryDirectory):
    def test_a_command_that_fails_is_counted_and_the_next_one_runs(self) -> None:
        (self.tmp / "linux").mkdir()
        out = io.StringIO()
        with mock.patch.object(paths, "ROOT", self.tmp), contextlib.redirect_stdout(out):
            failed = readme.run("    false\n    cd linux\n    touch ran\n    make demo\n", self.tmp)
        self.assertEqual(failed, 1)
        self.assertTrue((self.tmp / "linux" / "ran").exists())
        self.assertIn("left out", out.getvalue())
