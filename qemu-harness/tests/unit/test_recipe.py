# SPDX-License-Identifier: GPL-2.0-or-later
"""The shell in IMA-snapshot.rst that finds the aggregates in an ASCII list, on lists made here."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import textwrap
import unittest

import support  # noqa: F401  (puts the harness on the path)
from imaharness import paths, source
from imaharness.bases import DEFAULT_BASE, find_base

DOCUMENT = "Documentation/security/IMA-snapshot.rst"
PCR10 = b"sha256:PCR10:0x" + b"0A" * 32
HASH = b"Segment_Hash=sha256:" + b"ab" * 32 + b";"
TEXT = b"Snapshot_Attempt_Count=7;sha256:PCR0:0x" + b"00" * 32 + b"," + PCR10 + b";Record_Count=12;" + HASH
KEY = bytes.fromhex("3082010a0282010100c0ffee")  # as a certificate begins

needs_xxd = unittest.skipUnless(shutil.which("xxd"), "xxd is not installed")


def documented() -> list[str]:
    """The document's lines, from the patch that adds it."""
    for patch in source.patches(find_base(DEFAULT_BASE)):
        _, found, added = patch.read_text().partition(f"\n+++ b/{DOCUMENT}\n")
        if found:
            text = added.partition("\ndiff --git ")[0]
            return [line[1:] for line in text.splitlines() if line.startswith("+")]
    raise AssertionError(f"no patch adds {DOCUMENT}")


def recipe() -> str:
    """The literal block that defines aggregates()."""
    lines = documented()
    end = lines.index("  }") + 1
    begin = max(i for i in range(end) if lines[i].endswith("::")) + 1
    return textwrap.dedent("\n".join(lines[begin:end])).lstrip("\n") + "\n"


def line(template: str, name: bytes, data: bytes, pcr: int = 10) -> bytes:
    """A line of an ASCII list, as ima_ascii_measurements_show() writes it."""
    start = f"{pcr:2d} {hashlib.sha1(data).hexdigest()} {template} sha256:{hashlib.sha256(data).hexdigest()} "
    return start.encode() + name.replace(b" ", b"_") + b" " + data.hex().encode() + b"\n"


AGGREGATE = line("ima-buf", b"snapshot_aggregate", TEXT)

# None of them is an aggregate.
OTHERS = {
    "a key of that name": line("ima-buf", b"snapshot_aggregate", KEY),
    "a file of that name": line("ima-ng", b"/tmp/snapshot_aggregate", b""),
    "a file of that name alone": line("ima-buf", b"snapshot_aggregate", b""),
    "another template": line("ima-sig", b"snapshot_aggregate", TEXT),
    "a longer name": line("ima-buf", b"my_snapshot_aggregate", TEXT),
    "a name that goes on": line("ima-buf", b"snapshot_aggregate2", TEXT),
    "a name with an aggregate in it": line("ima-ng", b"/tmp/x\n" + AGGREGATE.rstrip(b"\n"), b""),
    "a keyring with an aggregate in its name": line("ima-buf", b"k\n" + AGGREGATE.rstrip(b"\n"), KEY),
    "a signed file with an aggregate in its name": line("ima-sig", b"/x\n10 a ima-buf b:c snapshot_aggregate", TEXT),
    "text after the end": line("ima-buf", b"snapshot_aggregate", TEXT + b"more"),
    "a newline after the end": line("ima-buf", b"snapshot_aggregate", TEXT + b"\n"),
    "a NUL after the end": line("ima-buf", b"snapshot_aggregate", TEXT + b"\0"),
    "a line before the text": line("ima-buf", b"snapshot_aggregate", b"Snapshot_Attempt_Count=\n" + TEXT),
    "a NUL before the text": line("ima-buf", b"snapshot_aggregate", b"Snapshot_Attempt_Count=\0" + TEXT),
    "no end": line("ima-buf", b"snapshot_aggregate", TEXT[:-1]),
    "no count": line("ima-buf", b"snapshot_aggregate", TEXT.replace(b"Count=7", b"Count=")),
    "a short hash": line("ima-buf", b"snapshot_aggregate", TEXT.replace(b"abab;", b"ab;")),
    "a value in lower case": line("ima-buf", b"snapshot_aggregate", TEXT.replace(b"0A", b"0a")),
}

TRUE = {
    "two PCRs": AGGREGATE,
    "no TPM": line("ima-buf", b"snapshot_aggregate", b"Snapshot_Attempt_Count=1;Record_Count=0;" + HASH),
    "two banks": line("ima-buf", b"snapshot_aggregate", TEXT.replace(b"Record", b"sha1:PCR9:0x" + b"F0" * 20 + b";Record")),
    "a bank that the kernel does not know": line(
        "ima-buf", b"snapshot_aggregate", TEXT.replace(b"sha256:PCR", b"tpm_alg_7abc:PCR")
    ),
    "a PCR of one digit": line("ima-buf", b"snapshot_aggregate", TEXT, pcr=8),
}


class Recipe(unittest.TestCase):
    shells = ("sh", "bash")

    def found(self, listed: bytes) -> bytes:
        """What aggregates() prints for a list; every shell must print the same."""
        printed = {
            shell: subprocess.run(
                [shell, "-c", recipe() + "aggregates"], input=listed, stdout=subprocess.PIPE, check=False
            ).stdout
            for shell in self.shells
            if shutil.which(shell)
        }
        self.assertEqual(len(set(printed.values())), 1, printed)
        return next(iter(printed.values()))

    @needs_xxd
    def test_an_aggregate_is_found(self) -> None:
        for name, record in TRUE.items():
            with self.subTest(name):
                self.assertEqual(self.found(record), record)

    @needs_xxd
    def test_nothing_else_is_found(self) -> None:
        for name, record in OTHERS.items():
            with self.subTest(name):
                self.assertEqual(self.found(record), b"")

    @needs_xxd
    def test_each_aggregate_of_a_list_is_found(self) -> None:
        binary = line("ima-ng", b"/tmp/\xff\xfe\x80", b"")  # not text in most locales
        listed = b"".join([binary, *OTHERS.values(), *TRUE.values(), *OTHERS.values()])
        self.assertEqual(self.found(listed), b"".join(TRUE.values()))

    def test_the_name_alone_finds_more(self) -> None:
        by_name = [name for name, record in OTHERS.items() if b"snapshot_aggregate" in record]
        self.assertEqual(by_name, list(OTHERS))

    def test_the_end_to_end_test_runs_the_documented_text(self) -> None:
        scenario = (paths.HARNESS / "guest" / "scenarios" / "cycle.sh").read_text()
        self.assertIn(" ".join(recipe().split()), " ".join(scenario.split()))


if __name__ == "__main__":
    unittest.main()
