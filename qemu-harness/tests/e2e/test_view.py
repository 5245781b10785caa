# SPDX-License-Identifier: GPL-2.0-or-later
"""The FUSE view: the whole log for readers that know nothing of snapshots."""

from __future__ import annotations

import unittest
from typing import ClassVar

from e2e import guests
from e2e.guests import MEASURED_PCR, Out
from imaharness import evmctl, imalog
from imaharness.tpm import TpmSpec

BANKS = ("sha1", "sha256")
READERS = 64
SNAPSHOTS = 3
GROUP = 77
MISMATCH = 3


def in_bank(records: list[imalog.Record], bank: str) -> bytes:
    """The log as binary_runtime_measurements_BANK shows it."""
    shown = []
    for record in records:
        digest = imalog.template_digest(record, bank)
        if record.violation:
            digest = bytes(len(digest))
        shown.append(record.raw[:4] + digest + record.raw[24:])
    return b"".join(shown)


class View(unittest.TestCase):
    out: ClassVar[Out]
    whole: ClassVar[bytes]  # the output of `ima-snapshot cat`
    ascii: ClassVar[bytes]
    log: ClassVar[list[imalog.Record]]

    @classmethod
    def setUpClass(cls) -> None:
        guests.need_program()
        spec = guests.spec("view.sh", "view", "fuse", tpm=TpmSpec(banks=BANKS), copies=(guests.setpriv(),))
        cls.out = Out(guests.boot(spec).out)
        cls.whole = cls.out.ran("cat").stdout
        cls.ascii = cls.out.ran("cat-ascii").stdout
        cls.log = list(imalog.records(cls.whole))

    def view(self, name: str) -> bytes:
        return (self.out / "view" / name).read_bytes()

    def test_snapshots_were_taken_while_it_was_read(self) -> None:
        for number in range(1, SNAPSHOTS + 1):
            ran = self.out.ran(f"take{number}")
            self.assertEqual(ran.status, 0, ran)
        self.assertEqual(self.out.kernel().purges, SNAPSHOTS)
        self.assertEqual(self.out.kernel(), self.out.kernel("ima-after"))

    def test_its_files_are_the_whole_log(self) -> None:
        self.assertEqual(self.view("binary_runtime_measurements"), self.whole)
        self.assertEqual(self.view("ascii_runtime_measurements"), self.ascii)
        self.assertEqual(self.view("binary_runtime_measurements_sha1"), self.whole)
        self.assertEqual(self.view("ascii_runtime_measurements_sha1"), self.ascii)
        self.assertEqual(self.view("binary_runtime_measurements_sha256"), in_bank(self.log, "sha256"))
        self.assertEqual(len(self.view("ascii_runtime_measurements_sha256").splitlines()), len(self.log))
        self.assertEqual(self.view("runtime_measurements_count"), b"%d\n" % len(self.log))
        self.assertEqual(self.view("violations"), (self.out / "violations").read_bytes())

    def test_sizes_are_right_and_only_root_and_the_group_may_read(self) -> None:
        sizes = {}
        for line in (self.out / "sizes").read_text().splitlines():
            name, length, mode, user, group = line.split()
            sizes[name] = int(length)
            self.assertEqual((mode, user, group), ("400" if name == "policy" else "440", "0", str(GROUP)), name)
        for name, size in sizes.items():
            if "_runtime_measurements" in name and not name.startswith("runtime"):
                self.assertEqual(size, len(self.view(name)), name)
        self.assertEqual((self.out / "directory").read_text().split(), ["550", "0", str(GROUP)])
        reader = self.out.ran("reader")
        self.assertEqual((reader.status, reader.stdout), (0, self.view("ascii_runtime_measurements_sha256")), reader)
        other = self.out.ran("other")
        self.assertNotEqual(other.status, 0)
        self.assertEqual(other.stdout, b"")
        self.assertIn("Permission denied", other.stderr)

    def test_evmctl_takes_it_on_the_host_and_bound_over_securityfs(self) -> None:
        guests.need_tool("evmctl")
        for bank in BANKS:
            verdict = evmctl.judge(
                self.out / "view" / "binary_runtime_measurements", bank, self.out.pcrs().files[bank]
            )
            self.assertTrue(verdict.accepts(bank, MEASURED_PCR, len(self.log)), verdict)
        self.assertEqual((self.out / "bound").read_bytes(), self.whole)
        ran = self.out.ran("evmctl")
        verdict = evmctl.Verdict(ran.status, ran.stdout.decode() + ran.stderr)
        self.assertTrue(verdict.accepts("sha256", MEASURED_PCR, len(self.log)), verdict)

    def test_goes_on_if_it_is_bound_over_the_file_that_it_reads(self) -> None:
        grown = (self.out / "bound.grown").read_bytes()
        self.assertEqual(grown[: len(self.whole)], self.whole)
        names = {record.event for record in imalog.records(grown[len(self.whole) :])}
        self.assertLessEqual({f"/load/bound/{number}" for number in range(1, 21)}, names)

    def test_the_program_looks_below_a_dead_view_too(self) -> None:
        ran = self.out.ran("dead-bound")
        self.assertEqual((ran.status, ran.stdout), (0, self.whole), ran)

    def test_only_what_reads_the_kernels_files_must_look_below_what_is_bound_over_them(self) -> None:
        ran = self.out.ran("bound-list")
        self.assertEqual((ran.status, ran.stdout), (0, self.out.ran("list").stdout), ran)
        ran = self.out.ran("bound-cat")
        self.assertEqual((ran.status, ran.stdout), (1, b""), ran)
        self.assertEqual(ran.error["cause"], "overmounted")

    def test_tail_and_a_reader_with_an_old_descriptor_see_every_record_once(self) -> None:
        self.assertEqual((self.out / "tail").read_bytes(), self.ascii)
        self.assertEqual((self.out / "held").read_bytes(), self.whole)

    def test_any_number_of_readers_get_the_beginning_of_the_log(self) -> None:
        self.assertFalse((self.out / "readers.failed").exists())
        lines = [line.split() for line in (self.out / "readers").read_text().splitlines()]
        self.assertEqual(len(lines), READERS * SNAPSHOTS)
        for name, size, agrees in lines:
            self.assertEqual(agrees, "1", name)
            # Only complete records, and all those from before the snapshot.
            self.assertTrue(self.ascii[: int(size)].endswith(b"\n"), name)
            taken = self.out.ran(f"take{name[0]}").json
            lines_read = self.ascii[: int(size)].count(b"\n")
            self.assertGreater(lines_read, taken["segment"]["last_record"], name)

    def test_reads_at_an_offset_give_the_bytes_there(self) -> None:
        slices = sorted((self.out / "slices").iterdir())
        self.assertEqual(len(slices), 4 * 8)
        for file in slices:
            name, _, offset = file.name.rpartition(".")
            start = int(offset)
            self.assertEqual(file.read_bytes(), self.view(name)[start : start + 333], file.name)

    def test_readers_of_a_view_that_went_away_get_an_error(self) -> None:
        self.assertEqual((self.out / "lazily").read_bytes(), self.whole)
        for name in ("after-kill", "dead", "dead-open"):
            ran = self.out.ran(name)
            self.assertNotEqual(ran.status, 0, name)
            self.assertIn("not connected", ran.stderr, name)

    def test_it_is_mounted_again_over_a_dead_one_and_ends_on_a_signal(self) -> None:
        self.assertIn("process is gone", (self.out / "mount3.stderr").read_text())
        self.assertEqual((self.out / "again").read_bytes(), self.whole)
        for name in ("terminated", "umounted", "gap-terminated"):
            self.assertEqual((self.out / f"{name}.status").read_text(), "0\n", name)
        ran = self.out.ran("unmounted")
        self.assertEqual((ran.status, ran.stdout), (0, b""))

    def test_a_gap_is_an_error_and_never_an_end(self) -> None:
        for name in ("gap", "gap-open"):
            ran = self.out.ran(name)
            self.assertNotEqual(ran.status, 0, name)
            self.assertIn("Input/output error", ran.stderr, name)
        self.assertIn("ignores the lock", (self.out / "mount5.stderr").read_text())
        ran = self.out.ran("gap-mount")
        self.assertEqual(ran.status, MISMATCH, ran)

    def test_a_log_without_its_beginning_is_refused(self) -> None:
        ran = self.out.ran("missing")
        self.assertEqual(ran.status, MISMATCH, ran)
        self.assertEqual((ran.error["cause"], ran.error["segment"]), ("segment_missing", 1))


class _Templates:
    """The tests of one default template. Below, a class for each inherits them."""

    class Tests(unittest.TestCase):
        append: tuple[str, ...]
        default: str
        banks = ("sha1", "sha256", "sha384", "sha512")
        out: Out

        @classmethod
        def setUpClass(cls) -> None:
            guests.need_program()
            guests.need_tool("setfattr")
            name = f"templates-{cls.__name__}"
            guest = guests.spec("templates.sh", name, "fuse", tpm=TpmSpec(banks=cls.banks), append=cls.append)
            cls.out = Out(guests.boot(guest).out)

        def test_every_template_is_in_the_log(self) -> None:
            shown = (self.out / "kernel" / "ascii_runtime_measurements").read_bytes()
            templates = {line.split()[2].decode() for line in shown.splitlines()}
            expected = {"ima", "ima-ng", "ima-ngv2", "ima-sig", "ima-sigv2", "ima-modsig", "evm-sig", "ima-buf"}
            self.assertEqual(templates, expected | {self.default})

        def test_every_file_is_the_kernels_byte_for_byte(self) -> None:
            names = sorted(f.name for f in (self.out / "kernel").iterdir())
            wanted = [f"{kind}_runtime_measurements{suffix}" for kind in ("ascii", "binary")
                      for suffix in ("", *(f"_{bank}" for bank in self.banks))]  # fmt: skip
            self.assertEqual(names, sorted(wanted))
            for name in names:
                kernel = (self.out / "kernel" / name).read_bytes()
                self.assertEqual((self.out / "view" / name).read_bytes(), kernel, name)
                # The same after the kernel purged them, followed by the aggregate.
                after = (self.out / "after" / name).read_bytes()
                self.assertTrue(after.startswith(kernel), name)
                self.assertGreater(len(after), len(kernel), name)


class DefaultTemplate(_Templates.Tests):
    append = ()
    default = "ima-ng"


class CustomTemplate(_Templates.Tests):
    default = "d-ng|n-ng|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"
    append = (f"ima_template_fmt={default}",)


class OldestTemplate(_Templates.Tests):
    append = ("ima_hash=sha1", "ima_template=ima")
    default = "ima"
