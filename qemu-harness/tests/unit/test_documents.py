# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of Sphinx's messages count against the series."""

from __future__ import annotations

import unittest
from pathlib import Path
from unittest import mock

import support
from imaharness import documents, process
from imaharness.errors import HarnessError

TOUCHED = [
    "Documentation/ABI/testing/ima-snapshot",
    "Documentation/security/IMA-snapshot.rst",
    "Documentation/security/index.rst",
    "Documentation/index.rst",
    "security/integrity/ima/ima_fs.c",
]
OURS = [
    "/k/Documentation/security/IMA-snapshot.rst:7: WARNING: Title underline too short.",
    "/k/Documentation/security/index.rst:2: ERROR: Unknown directive type",
    "WARNING: /sys/x is defined 2 times: /k/Documentation/ABI/testing/ima-snapshot:1; /k/Documentation/ABI/testing/evm:1",
]
OTHERS = [
    "WARNING: dot(1) not found",
    "/k/Documentation/security/ipe.rst:8: WARNING: unknown document: '/admin-guide/LSM/ipe'",
    "reading sources... Documentation/security/IMA-snapshot.rst",
]


class Documents(support.TemporaryDirectory):
    def check(self, printed: list[str]) -> list[str]:
        """What check() finds if make prints this."""

        def make(argv: list[str], *, log: Path) -> None:
            self.argv = argv
            log.write_text("\n".join(printed) + "\n")

        with mock.patch.object(process, "logged", make):
            return documents.check(Path("/k"), TOUCHED, self.tmp / "htmldocs")

    def test_the_folders_of_touched_documents_are_built(self) -> None:
        self.check([])
        self.assertIn("SPHINXDIRS=security", self.argv)
        self.assertEqual(documents.folders(["Documentation/a/x.rst", "Documentation/b/y.rst", "a/z.rst"]), ["a", "b"])

    def test_a_warning_about_a_touched_document_is_found(self) -> None:
        self.assertEqual(self.check([*OTHERS, *OURS]), OURS)

    def test_other_warnings_do_not_count(self) -> None:
        self.assertEqual(self.check(OTHERS), [])

    def test_nothing_of_an_earlier_run_is_kept(self) -> None:
        (self.tmp / "htmldocs").mkdir()
        (self.tmp / "htmldocs" / "doctree").write_text("")
        self.check([])
        self.assertFalse((self.tmp / "htmldocs").exists())

    def test_a_build_that_fails_is_reported(self) -> None:
        with self.assertRaises(HarnessError):
            documents.check(self.tmp / "no-such-tree", TOUCHED, self.tmp / "htmldocs")


if __name__ == "__main__":
    unittest.main()
