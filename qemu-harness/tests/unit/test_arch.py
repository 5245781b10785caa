# SPDX-License-Identifier: GPL-2.0-or-later
"""ARCH= chooses the guest's machine, whatever this one is."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import shlex
import unittest
from unittest import mock

import support  # noqa: F401  (puts the harness on the path)
from imaharness import arch, cli, kernel, paths
from imaharness.errors import EXIT_HARNESS, UsageError
from imaharness.tpm import TpmSpec


def with_arch(name: str) -> contextlib.AbstractContextManager[object]:
    return mock.patch.dict(os.environ, {"ARCH": name})


class Arches(unittest.TestCase):
    def test_each_has_a_configuration_of_its_own(self) -> None:
        for name in arch.ARCHES:
            with with_arch(name):
                self.assertEqual(kernel.fragment_files(kernel.FLAVOURS["stock"])[0], paths.CONFIGS / f"{name}.config")
                self.assertTrue((paths.CONFIGS / f"{name}.config").is_file())

    def test_the_host_needs_no_cross_compiler(self) -> None:
        for made in arch.ARCHES.values():
            with mock.patch.object(platform, "machine", return_value=made.machine):
                self.assertEqual(made.program("gcc"), "gcc")
                self.assertEqual(made.make_arguments, [f"ARCH={made.kernel}", "CROSS_COMPILE="])
            with mock.patch.object(platform, "machine", return_value="riscv64"):
                self.assertEqual(made.program("gcc"), f"{made.cross}gcc")

    def test_an_unknown_one_is_refused(self) -> None:
        with with_arch("sparc"), self.assertRaises(UsageError):
            arch.current()
        with with_arch("sparc"), contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(cli.main(["run", "--", "true"]), EXIT_HARNESS)
        self.assertIn("sparc", err.getvalue())

    def test_a_tpm_that_the_machine_does_not_have_is_refused(self) -> None:
        with with_arch("arm64"):
            TpmSpec(interface="tis").check()
            with self.assertRaises(UsageError):
                TpmSpec(interface="crb").check()

    def test_the_command_line_of_arm64(self) -> None:
        with with_arch("arm64"), contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(cli.main(["run", "--dry-run", "--accel", "tcg", "--", "true"]), 0)
        argv = shlex.split(out.getvalue().splitlines()[-1])
        pairs = list(zip(argv, argv[1:], strict=False))
        self.assertEqual(argv[0], "qemu-system-aarch64")
        self.assertIn(("-machine", "virt"), pairs)
        self.assertIn(("-device", "tpm-tis-device,tpmdev=tpm0"), pairs)
        (kernel_line,) = (value for option, value in pairs if option == "-append")
        self.assertIn("console=ttyAMA0", kernel_line.split())
