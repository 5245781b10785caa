# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of vm: what it accepts, and what it refuses before anything starts."""

from __future__ import annotations

import contextlib
import io
import os
import unittest
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import support
from imaharness import cli, guest, image
from imaharness.errors import EXIT_HARNESS, UsageError
from imaharness.tpm import TpmSpec


def spec(*argv: str) -> guest.GuestSpec:
    return cli.spec_from(cli.parser().parse_args(["run", *argv]))


def refused(argv: Sequence[str]) -> tuple[int, str]:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            status = cli.main(argv)
        except SystemExit as e:
            status = int(str(e.code))
    return status, errors.getvalue()


class Options(unittest.TestCase):
    def test_the_command_is_all_behind_the_dashes(self) -> None:
        self.assertEqual(spec("--", "ls", "--help", "-x").command, ["ls", "--help", "-x"])

    def test_stock_and_debug_are_flavours(self) -> None:
        self.assertEqual(spec("--", "true").flavour, "patched")
        self.assertEqual(spec("--stock", "--", "true").flavour, "stock")
        self.assertEqual(spec("--debug", "--", "true").flavour, "debug")
        self.assertEqual(spec("--stock", "--debug", "--", "true").flavour, "stock-debug")
        self.assertEqual(spec("--flavour", "nostaging", "--", "true").flavour, "nostaging")

    def test_the_tpm(self) -> None:
        made = spec("--tpm-if", "crb", "--banks", "sha1,sha384", "--swtpm-env", "DELAY=10", "--", "true").tpm
        self.assertEqual((made.version, made.interface), ("2.0", "crb"))
        self.assertEqual(list(made.banks), ["sha1", "sha384"])
        self.assertEqual(made.env, {"DELAY": "10"})

    def test_the_environment_gives_the_defaults(self) -> None:
        with mock.patch.dict(os.environ, {"TPM": "none", "BANKS": "sha512", "BASE": "v6.12", "ACCEL": "tcg"}):
            made = spec("--", "true")
        self.assertEqual((made.tpm.version, made.base, made.accel), ("none", "v6.12", "tcg"))
        self.assertEqual(list(made.tpm.banks), ["sha512"])

    def test_an_empty_knob_is_no_knob(self) -> None:
        with mock.patch.dict(os.environ, {"KSRC": "", "BASE": ""}):
            self.assertIsNone(spec("--", "true").ksrc)

    def test_lists_add_up(self) -> None:
        made = spec("--append", "a=1", "--append", "b", "--env", "X=1", "--env", "Y=a=b", "--", "true")
        self.assertEqual(made.append, ["a=1", "b"])
        self.assertEqual(made.env, {"X": "1", "Y": "a=b"})


class Refusals(unittest.TestCase):
    def test_by_the_parser(self) -> None:
        lines: list[list[str]] = [
            ["run", "--tpm", "3.0", "--", "true"],
            ["run", "--tpm-if", "spi", "--", "true"],
            ["run", "--env", "novalue", "--", "true"],
            ["run", "--memory", "lots", "--", "true"],
            ["walk"],
            [],
        ]
        for argv in lines:
            with self.subTest(argv):
                self.assertEqual(refused(argv)[0], 2)

    def test_by_the_harness_in_words(self) -> None:
        for argv, words in (
            (["run"], "no command"),
            (["run", "--base", "v1.0", "--", "true"], "unknown base 'v1.0'; choose from v7.3, v6.12"),
            (["run", "--flavour", "mint", "--", "true"], "unknown flavour 'mint'; choose from patched,"),
            (["run", "--kernel", "/nonexistent", "--", "true"], "no kernel image /nonexistent"),
            (["run", "--policy", "/nonexistent", "--", "true"], "no policy file /nonexistent"),
            (["run", "--banks", "md5", "--", "true"], "'md5': choose one or more of sha1,"),
            (["run", "--banks", ",", "--", "true"], "choose one or more of sha1,"),
            (["run", "--tpm", "1.2", "--tpm-if", "crb", "--", "true"], "a TPM 1.2 has no CRB interface"),
            (["run", "--copy", "/nonexistent", "--", "true"], "--copy /nonexistent: no such file"),
            (["run", "--copy", "/bin/sh:relative", "--", "true"], "must be absolute"),
            (["run", "--timeout", "0", "--", "true"], "must be positive"),
            (["run", "--swtpm-preload", "/nonexistent", "--", "true"], "no library /nonexistent"),
        ):
            with self.subTest(argv):
                status, said = refused(argv)
                self.assertEqual(status, EXIT_HARNESS)
                self.assertIn(words, said)

    def test_a_refused_guest_leaves_no_results(self) -> None:
        with mock.patch.object(guest, "new_run_directory") as made, self.assertRaises(UsageError):
            guest.run_guest(guest.GuestSpec(command=["true"], tpm=TpmSpec(banks=())))
        made.assert_not_called()


class Copies(support.TemporaryDirectory):
    def test_places(self) -> None:
        program, data = self.tmp / "prog", self.tmp / "data"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        data.write_text("x")
        for text, place in (
            (f"{program}", "/usr/local/bin/prog"),
            (f"{data}", "/root/data"),
            (f"{data}:/etc/x", "/etc/x"),
            (f"{data}:/etc/", "/etc/data"),
        ):
            with self.subTest(text):
                self.assertEqual(image.parse_copy(text).dest, place)

    def test_the_command_is_quoted(self) -> None:
        contents = image.Contents(["sh", "-c", "echo 'a b' $X; exit 3"], {"X": "it's"})
        script = image.command_script(contents)
        self.assertIn("""exec sh -c 'echo '"'"'a b'"'"' $X; exit 3'""", script)
        self.assertIn("""export X='it'"'"'s'""", script)

    def test_the_library_of_a_program_is_named(self) -> None:
        found = image.libraries(Path("/bin/bash"))
        self.assertTrue(any("libc.so.6" in name for name in found), found)
        self.assertTrue(any("ld-linux" in name for name in found), found)


if __name__ == "__main__":
    unittest.main()
