# SPDX-License-Identifier: GPL-2.0-or-later
"""KERNEL=: an image that was built elsewhere, what it lacks, and which tests it can run."""

from __future__ import annotations

import contextlib
import io
import os
import unittest
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import support
from e2e import guests
from imaharness import bases, check, cli, given, guest, kernel, kunit, selftests
from imaharness.errors import EXIT_HARNESS, HarnessError, UsageError
from imaharness.report import Status
from imaharness.tpm import TpmSpec

ALL = frozenset(given.FEATURES)
TOLD = """\
7.3.4-vendor
feature out
feature ima
feature snapshot
== config
CONFIG_IMA=y
CONFIG_EXT4_FS=m
# CONFIG_KUNIT is not set
"""


def facts(features: frozenset[str] = ALL, config: dict[str, str] | None = None) -> given.Facts:
    return given.Facts("7.3.4", features, config)


class Image(support.TemporaryDirectory):
    """KERNEL= names a file that the test makes; nothing may be built or booted."""

    def setUp(self) -> None:
        super().setUp()
        self.file = self.tmp / "bzImage"
        self.file.write_bytes(b"image")
        self.enterContext(mock.patch.dict(os.environ, {"KERNEL": str(self.file)}))
        self.enterContext(mock.patch.object(kernel, "build", side_effect=AssertionError("built")))
        for module in (guest, kunit, selftests):
            self.enterContext(mock.patch.object(module, "run_guest", side_effect=AssertionError("booted")))

    def with_facts(self, found: given.Facts) -> None:
        self.enterContext(mock.patch.object(given, "facts", return_value=found))


class Naming(Image):
    def test_it_replaces_the_flavour_patched_alone(self) -> None:
        def image_of(*options: str) -> Path | None:
            return cli.spec_from(cli.parser().parse_args(["run", *options, "--", "true"])).kernel

        self.assertEqual(image_of(), self.file)
        self.assertIsNone(image_of("--stock"))
        self.assertEqual(image_of("--kernel", "/another"), Path("/another"))

    def test_vm_kernel_builds_nothing(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(cli.main(["kernel"]), 0)
        self.assertEqual(said.getvalue(), f"{self.file}\n")

    def test_a_file_that_is_not_there_is_refused(self) -> None:
        with mock.patch.dict(os.environ, {"KERNEL": "/nonexistent"}):
            with self.assertRaisesRegex(UsageError, "KERNEL=/nonexistent: no such file"):
                given.image()
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(cli.main(["run", "--", "true"]), EXIT_HARNESS)
                with self.assertRaises(SystemExit) as raised:
                    check.main(["kunit"])
        self.assertEqual(raised.exception.code, 2)

    def test_an_empty_knob_is_no_image(self) -> None:
        with mock.patch.dict(os.environ, {"KERNEL": ""}):
            self.assertIsNone(given.image())
            self.assertIsNone(given.reason_against("stock", ["snapshot"]))


class Skipping(Image):
    def test_another_flavour_is_skipped_without_a_boot(self) -> None:
        with self.assertRaisesRegex(unittest.SkipTest, "needs the flavour 'stock'"):
            guests.spec("staging.sh", "x", flavour="stock")

    def test_what_a_scenario_needs_is_asked_of_the_image(self) -> None:
        cases: Sequence[tuple[str, tuple[str, ...], dict[str, object]]] = (
            ("snapshot", (), {}),
            ("policy", (), {}),
            ("tpm", (), {}),
            ("disk", (), {"disk": "64M"}),
            ("kexec", (), {"kexec": True}),
            ("fuse", ("fuse",), {}),
        )
        for lacking, needs, options in cases:
            with self.subTest(lacking), mock.patch.object(given, "facts", return_value=facts(ALL - {lacking})):
                words = given.FEATURES[lacking].words
                with self.assertRaisesRegex(unittest.SkipTest, f"KERNEL= has no {words} \\(CONFIG_"):
                    guests.spec("cycle.sh", "x", *needs, **options)

    def test_what_it_does_not_need_may_be_missing(self) -> None:
        self.with_facts(facts(ALL - {"disk", "kexec", "fuse", "tpm", "cgroups", "kunit"}))
        spec = guests.spec("cycle.sh", "x", tpm=TpmSpec(version="none"))
        self.assertEqual(spec.kernel, self.file)

    def test_kexec_without_ima_kexec_shows_in_the_configuration_alone(self) -> None:
        self.with_facts(facts(config={"CONFIG_KEXEC_FILE": "y"}))
        self.assertIn("CONFIG_IMA_KEXEC", given.reason_against("patched", ["kexec"]) or "")

    def test_kunit_is_skipped_when_the_image_has_none(self) -> None:
        self.with_facts(facts(ALL - {"kunit"}))
        suite = kunit.run(bases.BASES["v7.3"])
        self.assertEqual([c.status for c in suite.cases], [Status.SKIP])
        self.assertIn("CONFIG_KUNIT_DEBUGFS", suite.cases[0].detail)

    def test_selftests_of_other_flavours_are_skipped(self) -> None:
        self.with_facts(facts())
        for setting in selftests.SETTINGS:
            if setting.flavour != "patched":
                suite = selftests.run(bases.BASES["v7.3"], ["snapshot_open_test"], setting, None)
                self.assertEqual([c.status for c in suite.cases], [Status.SKIP], setting.name)

    def test_the_patches_are_not_built(self) -> None:
        suites = check.run_one("kernel", bases.BASES["v7.3"], None)
        self.assertEqual([c.status for s in suites for c in s.cases], [Status.SKIP])

    def test_an_image_that_cannot_run_the_guest_fails_once_and_skips_the_rest(self) -> None:
        problem = HarnessError("cannot run the guest\nBuilt in, it needs CONFIG_X")
        with (
            mock.patch.object(given, "facts", side_effect=problem),
            mock.patch.object(check, "new_run_directory", return_value=self.tmp),
            contextlib.redirect_stdout(io.StringIO()) as said,
        ):
            self.assertEqual(check.main(["kunit", "selftests", "e2e"]), 1)
        self.assertIn("CONFIG_X", said.getvalue())
        self.assertTrue(said.getvalue().endswith("\n0 passed, 1 failed, 3 skipped\n"))


class Lacking(support.TemporaryDirectory):
    def test_what_the_guest_printed(self) -> None:
        found = given.parse(TOLD)
        self.assertEqual(found.release, "7.3.4-vendor")
        self.assertEqual(found.features, {"out", "ima", "snapshot"})
        self.assertEqual(found.config, {"CONFIG_IMA": "y", "CONFIG_EXT4_FS": "m", "CONFIG_KUNIT": "n"})

    def test_an_image_without_its_configuration(self) -> None:
        found = given.parse(TOLD.partition("CONFIG_")[0])
        self.assertIsNone(found.config)
        self.assertEqual(found.missing(), [])
        self.assertIn("CONFIG_IKCONFIG_PROC", given.describe(Path("x"), found)[-1])

    def test_the_harness_needs_its_own_configuration_in_proc(self) -> None:
        asked = kernel.requested(kernel.fragment_files(kernel.FLAVOURS["patched"]))
        self.assertEqual(asked["CONFIG_IKCONFIG_PROC"], "y")

    def test_each_missing_option_has_its_purpose(self) -> None:
        asked = kernel.requested(kernel.fragment_files(kernel.FLAVOURS["patched"]))
        self.assertEqual(facts(config=asked).missing(), [])
        lacking = {**asked, "CONFIG_EXT4_FS": "m", "CONFIG_TCG_TPM2_HMAC": "y"}
        del lacking["CONFIG_IMA_SNAPSHOT"]
        found = {m.symbol: (m.wanted, m.found) for m in facts(config=lacking).missing()}
        self.assertEqual(
            found,
            {"CONFIG_EXT4_FS": ("y", "m"), "CONFIG_TCG_TPM2_HMAC": ("n", "y"), "CONFIG_IMA_SNAPSHOT": ("y", "n")},
        )
        for missing in facts(config={}).missing():
            self.assertNotEqual(missing.purpose, "", missing.symbol)

    def test_a_purpose_is_the_comment_before(self) -> None:
        fragment = self.tmp / "f.config"
        fragment.write_text(
            "# SPDX-License-Identifier: x\n# Two\n# lines.\nCONFIG_A=y\n# CONFIG_B is not set\n# Another.\nCONFIG_C=1\n"
        )
        self.assertEqual(
            given.purposes_of([fragment]),
            {"CONFIG_A": "Two lines.", "CONFIG_B": "Two lines.", "CONFIG_C": "Another."},
        )


class Unusable(unittest.TestCase):
    def test_the_console_points_to_the_options(self) -> None:
        for console, option in (
            ("", "CONFIG_SERIAL_8250_CONSOLE"),
            ("[1.0] Linux version 7.3\n[2.0] VFS: Unable to mount root fs on unknown-block(0,0)", "CONFIG_BLK_DEV_INITRD"),
            ("[2.0] Kernel panic - not syncing: No working init found.", "CONFIG_BINFMT_SCRIPT"),
            ("[3.0] Failed to execute /init (error -8)", "CONFIG_BINFMT_ELF"),
            ("[9.0] harness: the virtio ports did not appear", "CONFIG_VIRTIO_CONSOLE"),
            ("[1.0] Linux version 7.3\n", "CONFIG_VIRTIO_PCI"),
        ):
            with self.subTest(console):
                self.assertIn(option, given.likely_options(console))


if __name__ == "__main__":
    unittest.main()
