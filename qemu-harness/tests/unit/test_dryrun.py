# SPDX-License-Identifier: GPL-2.0-or-later
"""vm run --dry-run prints the command lines for KVM and TCG, also on a machine without them."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import unittest
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import support
from imaharness import accel, cli, paths
from imaharness.errors import EXIT_HARNESS


class DryRun(support.TemporaryDirectory):
    def setUp(self) -> None:
        super().setUp()
        for name in ("BUILD", "KERNELS", "IMAGES", "RESULTS"):
            self.enterContext(mock.patch.object(paths, name, self.tmp / "build"))
        for name in ("Popen", "run"):
            self.enterContext(mock.patch.object(subprocess, name, side_effect=AssertionError("started")))
        for name in ("BASE", "KSRC", "KERNEL", "ACCEL", "TPM", "TPM_IF", "BANKS"):
            self.enterContext(mock.patch.dict("os.environ", {name: ""}))

    def lines(self, *options: str) -> list[list[str]]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = cli.main(["run", "--dry-run", *options, "--", "true"])
        self.assertEqual(status, 0)
        self.assertEqual(list(self.tmp.iterdir()), [])  # nothing was made
        return [shlex.split(line) for line in out.getvalue().splitlines()]

    def qemu(self, *options: str) -> list[str]:
        return self.lines(*options)[-1]

    def assert_pair(self, argv: Sequence[str], option: str, value: str) -> None:
        self.assertIn((option, value), list(zip(argv, argv[1:], strict=False)))

    def test_kvm(self) -> None:
        argv = self.qemu("--accel", "kvm")
        self.assertEqual(argv[0], "qemu-system-x86_64")
        self.assert_pair(argv, "-accel", "kvm")
        self.assert_pair(argv, "-cpu", "host")
        self.assertEqual(argv.count("-accel"), 1)

    def test_kvm_by_the_environment(self) -> None:
        with mock.patch.dict("os.environ", {"ACCEL": "kvm"}):
            self.assert_pair(self.qemu(), "-accel", "kvm")

    def test_tcg(self) -> None:
        argv = self.qemu("--accel", "tcg")
        self.assert_pair(argv, "-accel", "tcg,thread=multi")
        self.assert_pair(argv, "-cpu", "max")

    def test_auto_probes_nothing(self) -> None:
        for access, wanted in ((False, "tcg"), (True, "kvm")):
            with self.subTest(wanted), mock.patch.object(os, "access", return_value=access):
                argv = self.qemu("--accel", "auto")
                self.assertTrue(argv[argv.index("-accel") + 1].startswith(wanted))

    def test_auto_remembers_a_probe_that_failed(self) -> None:
        answer = self.tmp / "accel"
        with (
            mock.patch.object(os, "access", return_value=True),
            mock.patch.object(accel, "_answer_file", return_value=answer),
        ):
            self.assertEqual(accel.foreseen("auto"), "kvm")
            answer.write_text(f"{accel._boot_id()} tcg\n")
            self.assertEqual(accel.foreseen("auto"), "tcg")
            answer.write_text("another-boot tcg\n")
            self.assertEqual(accel.foreseen("auto"), "kvm")

    def test_the_tpm_comes_first_and_its_socket_is_qemus(self) -> None:
        setup, swtpm, qemu = self.lines("--tpm-if", "crb", "--banks", "sha1,sha384")
        self.assertEqual(setup[0], "swtpm_setup")
        self.assert_pair(setup, "--pcr-banks", "sha1,sha384")
        self.assertEqual(swtpm[:2], ["swtpm", "socket"])
        socket = swtpm[swtpm.index("--ctrl") + 1].removeprefix("type=unixio,path=")
        self.assert_pair(qemu, "-chardev", f"socket,id=tpm,path={socket}")
        self.assert_pair(qemu, "-device", "tpm-crb,tpmdev=tpm0")

    def test_a_library_in_front_of_swtpm_is_in_its_environment(self) -> None:
        line = self.lines("--swtpm-preload", __file__, "--swtpm-env", "DELAY=a b")[1]
        self.assertEqual(line[:4], ["env", "DELAY=a b", f"LD_PRELOAD={Path(__file__).absolute()}", "swtpm"])

    def test_without_a_tpm_there_is_one_line(self) -> None:
        self.assertEqual(len(self.lines("--tpm", "none")), 1)

    def test_the_image_the_disk_and_the_command_line(self) -> None:
        argv = self.qemu("--kernel", __file__, "--append", "a=b c", "--disk", "/nonexistent/d.img:64M", "--smp", "3")
        self.assert_pair(argv, "-kernel", str(Path(__file__).absolute()))
        self.assert_pair(argv, "-drive", "file=/nonexistent/d.img,if=virtio,format=raw,cache=writethrough")
        self.assert_pair(argv, "-smp", "3")
        self.assertTrue(argv[argv.index("-append") + 1].endswith(" a=b c"))

    def test_what_makes_no_sense_is_refused_as_ever(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status = cli.main(["run", "--dry-run", "--kernel", "/nonexistent", "--", "true"])
        self.assertEqual(status, EXIT_HARNESS)
        self.assertIn("no kernel image /nonexistent", said.getvalue())


if __name__ == "__main__":
    unittest.main()
