# SPDX-License-Identifier: GPL-2.0-or-later
"""Real guests on the stock kernel: how each way to end is reported."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import unittest
from pathlib import Path
from unittest import mock

import support
from imaharness import bases, given, guest, paths, source
from imaharness.errors import EXIT_HARNESS, EXIT_TIMEOUT
from imaharness.guest import GuestResult, GuestSpec, Outcome, run_guest
from imaharness.image import Copy
from imaharness.tpm import TpmSpec

NO_TPM = TpmSpec(version="none")
LOG = "/sys/kernel/security/ima/ascii_runtime_measurements"


def stock(*command: str, tpm: TpmSpec = NO_TPM, **options: object) -> GuestSpec:
    return GuestSpec(command=command, flavour="stock", tpm=tpm, name="unit", **options)  # type: ignore[arg-type]


def sh(script: str, **options: object) -> GuestResult:
    return run_guest(stock("sh", "-c", script, **options))  # type: ignore[arg-type]


def setUpModule() -> None:
    reason = given.flavour_reason("stock") or source.reason_without(bases.find_base(bases.DEFAULT_BASE))
    if reason is not None:
        raise unittest.SkipTest(reason)


class Ending(support.TemporaryDirectory):
    def assert_outcome(self, result: GuestResult, outcome: Outcome) -> None:
        self.assertIs(result.outcome, outcome, result.explain())

    def test_the_commands_status_and_both_streams_come_back(self) -> None:
        live: list[bytes] = []
        result = run_guest(stock("sh", "-c", "echo out; echo err >&2; exit 3"), stdout=live.append)
        self.assert_outcome(result, Outcome.EXITED)
        self.assertEqual((result.status, result.exit_status, result.ok), (3, 3, False))
        self.assertEqual((result.stdout, result.stderr), (b"out\n", b"err\n"))
        self.assertEqual(b"".join(live), b"out\n")
        facts = json.loads((result.directory / "result.json").read_text())
        self.assertEqual((facts["outcome"], facts["status"]), ("exited", 3))
        self.assertIn(b"Linux version", (result.directory / "console.log").read_bytes())

    def test_a_panic_fails_the_run_whatever_was_said(self) -> None:
        result = sh("echo 1 >/proc/sys/kernel/sysrq; echo fine; echo c >/proc/sysrq-trigger; sleep 60")
        self.assert_outcome(result, Outcome.CONSOLE)
        self.assertEqual(result.exit_status, EXIT_HARNESS)
        self.assertIn("Kernel panic - not syncing: sysrq triggered crash", "\n".join(result.reports))

    def test_a_report_on_the_console_fails_a_command_that_succeeded(self) -> None:
        result = sh("echo '<4>BUG: KASAN: slab-out-of-bounds in f+0x1/0x2' >/dev/kmsg; exit 0")
        self.assert_outcome(result, Outcome.CONSOLE)
        self.assertEqual((result.status, result.ok, result.exit_status), (0, False, EXIT_HARNESS))

    def test_a_guest_that_hangs_is_ended(self) -> None:
        before = _children()
        result = sh("sleep 100000", timeout=20.0)
        self.assert_outcome(result, Outcome.TIMEOUT)
        self.assertEqual((result.status, result.exit_status), (None, EXIT_TIMEOUT))
        self.assertEqual(_children(), before)

    def test_a_guest_that_hangs_while_it_boots_is_booted_once_more(self) -> None:
        with mock.patch.object(guest, "SILENCE_SECONDS", 10.0), mock.patch.object(guest, "_boot", side_effect=guest._boot) as boot:
            result = sh("echo never", append=["rdinit=/bin/cat"])
        self.assert_outcome(result, Outcome.HUNG)
        self.assertEqual((result.status, result.exit_status, boot.call_count), (None, EXIT_TIMEOUT, 2))

    def test_a_silent_command_is_not_a_guest_that_hangs(self) -> None:
        with mock.patch.object(guest, "SILENCE_SECONDS", 15.0):
            result = sh("sleep 20")
        self.assertTrue(result.ok, result.explain())

    def test_a_guest_that_goes_without_a_word_is_a_failure(self) -> None:
        result = sh("reboot -f; sleep 60")
        self.assert_outcome(result, Outcome.DIED)
        self.assertEqual(result.exit_status, EXIT_HARNESS)

    def test_the_plug_is_pulled_at_a_text(self) -> None:
        result = sh("echo ready; sleep 100000", kill_on="ready")
        self.assert_outcome(result, Outcome.KILLED)
        self.assertIsNone(result.status)

    def test_a_policy_that_ima_refuses_fails_before_the_command(self) -> None:
        policy = self.tmp / "policy"
        policy.write_text("measure func=NONSENSE\n")
        result = sh("echo never", policy=policy)
        self.assert_outcome(result, Outcome.FAILED)
        self.assertEqual((result.reason, result.stdout), ("IMA refuses the policy", b""))

    def test_what_a_command_leaves_running_does_not_hold_the_guest(self) -> None:
        result = sh("sleep 100000 & echo done")
        self.assert_outcome(result, Outcome.EXITED)
        self.assertEqual((result.status, result.stdout), (0, b"done\n"))

    def test_a_file_that_is_not_a_kernel_is_a_failure(self) -> None:
        image = self.tmp / "bzImage"
        image.write_bytes(b"no kernel")
        result = run_guest(GuestSpec(command=["true"], kernel=image, tpm=NO_TPM, name="unit"))
        self.assert_outcome(result, Outcome.DIED)


class Passing(support.TemporaryDirectory):
    def test_files_go_in_and_come_out(self) -> None:
        source = self.tmp / "input"
        source.write_bytes(bytes(range(256)) * 1000)
        result = sh(
            "cp /data/x /out/y && bash -c 'echo $X' && pwd",
            copies=[Copy(source, "/data/x"), Copy(Path("/bin/bash"), "/usr/local/bin/bash")],
            env={"X": "a 'quoted' $value"},
            out=self.tmp / "out",
        )
        self.assertTrue(result.ok, result.explain())
        self.assertEqual((self.tmp / "out/y").read_bytes(), source.read_bytes())
        self.assertEqual(result.stdout, b"a 'quoted' $value\n/root\n")

    def test_much_output_arrives_whole_and_in_order(self) -> None:
        result = sh("seq 1 100000")
        self.assertTrue(result.ok, result.explain())
        self.assertEqual(result.stdout, b"".join(b"%d\n" % n for n in range(1, 100001)))

    def test_a_command_may_open_its_streams_again(self) -> None:
        result = sh("echo a >/dev/stdout; echo b >/dev/stderr; echo c >/dev/stdout")
        self.assertEqual((result.stdout, result.stderr), (b"a\nc\n", b"b\n"))

    def test_a_named_disk_keeps_what_was_synced_when_the_plug_is_pulled(self) -> None:
        disk = f"{self.tmp / 'disk.img'}:16M"
        first = sh("echo kept >/disk/f; sync; echo ready; sleep 100000", disk=disk, kill_on="ready")
        self.assertIs(first.outcome, Outcome.KILLED, first.explain())
        second = sh("cat /disk/f", disk=disk)
        self.assertEqual(second.stdout, b"kept\n", second.explain())

    def test_memory_cpus_and_the_command_line(self) -> None:
        result = sh("nproc; cat /proc/cmdline; grep MemTotal /proc/meminfo", smp=1, memory_mib=512, append=["x.y=z"])
        lines = result.stdout.decode().splitlines()
        self.assertEqual(lines[0], "1")
        self.assertIn("x.y=z", lines[1].split())
        self.assertLess(int(lines[2].split()[1]), 512 * 1024)


class Tpm(support.TemporaryDirectory):
    def test_every_bank_of_a_tpm_2_on_either_interface(self) -> None:
        for interface in ("tis", "crb"):
            with self.subTest(interface):
                tpm = TpmSpec(interface=interface, banks=("sha1", "sha256", "sha384"))
                result = sh(f"ls -d /sys/class/tpm/tpm0/pcr-*; cat {LOG}", tpm=tpm)
                self.assertTrue(result.ok, result.explain())
                lines = result.stdout.decode().splitlines()
                self.assertEqual(
                    lines[:3], [f"/sys/class/tpm/tpm0/pcr-{b}" for b in ("sha1", "sha256", "sha384")]
                )
                self.assertIn("boot_aggregate", lines[3])

    def test_pcr_10_is_the_extension_of_the_first_record(self) -> None:
        result = sh(f"cat /sys/class/tpm/tpm0/pcr-sha1/10 {LOG}", tpm=TpmSpec(banks=("sha1", "sha256")))
        pcr, record = result.stdout.decode().splitlines()
        digest = bytes.fromhex(record.split()[1])
        self.assertEqual(pcr.lower(), hashlib.sha1(bytes(20) + digest).hexdigest())

    def test_a_tpm_1_2(self) -> None:
        result = sh("cat /sys/class/tpm/tpm0/tpm_version_major", tpm=TpmSpec(version="1.2"))
        self.assertEqual(result.stdout, b"1\n", result.explain())

    def test_no_tpm(self) -> None:
        result = sh("test ! -e /sys/class/tpm/tpm0")
        self.assertTrue(result.ok, result.explain())

    def test_kept_state_goes_on_and_fresh_state_does_not(self) -> None:
        kept = TpmSpec(state=self.tmp / "state")
        clocks = [
            sh("tpm2_readclock -T device:/dev/tpm0 | grep reset_count", tpm=tpm).stdout
            for tpm in (kept, kept, TpmSpec())
        ]
        counts = [int(c.split()[-1]) for c in clocks]
        self.assertGreater(counts[1], counts[0])
        self.assertEqual(counts[2], counts[0])

    def test_a_library_can_be_put_in_front_of_swtpm(self) -> None:
        code, library, commands = self.tmp / "shim.c", self.tmp / "shim.so", self.tmp / "commands"
        code.write_text(_SHIM)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, code, "-ldl"], check=True)
        result = sh("true", tpm=TpmSpec(preload=library, env={"SHIM_LOG": str(commands)}))
        self.assertTrue(result.ok, result.explain())
        self.assertGreater(commands.stat().st_size, 10)

    def test_swtpm_is_gone_afterwards(self) -> None:
        before = _children()
        self.assertTrue(sh("true", tpm=TpmSpec()).ok)
        self.assertEqual(_children(), before)


class Kexec(unittest.TestCase):
    def test_the_guest_starts_its_own_kernel_again(self) -> None:
        script = """
            if [ "$second" = yes ]; then cat /proc/cmdline; exit 7; fi
            kexec -s -l /boot/bzImage --initrd=/boot/initrd --append="$(cat /proc/cmdline) second=yes" || exit 8
            kexec -e
            """
        result = sh(script, kexec=True, tpm=TpmSpec())
        self.assertEqual(result.status, 7, result.explain())
        self.assertIn(b"second=yes", result.stdout)


class CommandLine(unittest.TestCase):
    def test_vm_run_exits_as_the_command_does(self) -> None:
        done = subprocess.run(
            [paths.HARNESS / "vm", "run", "--stock", "--tpm", "none", "--", "sh", "-c", "echo hello; exit 3"],
            capture_output=True,
            check=False,
        )
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertTrue(done.stdout.endswith(b"hello\n"), done.stdout)


def _children() -> list[int]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return sorted(found)


_SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

uint32_t TPMLIB_Process(unsigned char **answer, uint32_t *size, uint32_t *room,
                        unsigned char *command, uint32_t length)
{
	uint32_t (*real)(unsigned char **, uint32_t *, uint32_t *, unsigned char *, uint32_t) =
		dlsym(RTLD_NEXT, "TPMLIB_Process");
	FILE *log = fopen(getenv("SHIM_LOG"), "a");

	fputc('.', log);
	fclose(log);
	return real(answer, size, room, command, length);
}
"""


if __name__ == "__main__":
    unittest.main()
