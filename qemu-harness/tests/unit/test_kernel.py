# SPDX-License-Identifier: GPL-2.0-or-later
"""Getting, patching and configuring the kernel, without building one."""

from __future__ import annotations

import contextlib
import io
import os
import unittest
from pathlib import Path
from unittest import mock

import support
from imaharness import apt, bases, kernel, kernel_variants, paths, process, source, warnings_log
from imaharness.errors import HarnessError

BASE = bases.BASES["v7.3"]
PATCH = """\
--- a/dir/f
+++ b/dir/f
@@ -1,2 +1,2 @@
-old
+new
 same
--- /dev/null
+++ b/dir/added
@@ -0,0 +1 @@
+added
"""


class Build(support.TemporaryDirectory):
    """Tests with their own build directory and kernel-patches directory."""

    def setUp(self) -> None:
        super().setUp()
        self.patches = self.tmp / "kernel-patches" / BASE.name
        self.patches.mkdir(parents=True)
        for name, value in (
            ("KERNELS", self.tmp / "kernel"),
            ("DOWNLOADS", self.tmp / "downloads"),
            ("ROOT", self.tmp),
        ):
            patcher = mock.patch.object(paths, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        quiet = contextlib.redirect_stderr(io.StringIO())
        quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)

    def tree(self, text: str = "old\nsame\n") -> Path:
        tree = self.tmp / "tree"
        (tree / "security/integrity/ima").mkdir(parents=True, exist_ok=True)
        (tree / "dir").mkdir(exist_ok=True)
        (tree / "dir/f").write_text(text)
        (tree / "dir/untouched").write_text("u")
        (tree / "security/integrity/ima/Kconfig").write_text("config IMA\n")
        return tree

    def tarball(self) -> None:
        self.tree()
        paths.DOWNLOADS.mkdir(exist_ok=True)
        process.output(
            ["tar", "-C", self.tmp, "-cJf", paths.DOWNLOADS / "linux-7.3.4.tar.xz", "tree"]
        )


class Finding(Build):
    def test_a_missing_source_is_one_sentence_with_the_three_ways(self) -> None:
        with (
            mock.patch.object(apt, "download", side_effect=HarnessError("no mirror")),
            mock.patch("urllib.request.urlopen", side_effect=OSError("no network")),
            self.assertRaises(HarnessError) as raised,
        ):
            source.find(BASE, None)
        said = str(raised.exception)
        for words in ("KSRC", str(paths.DOWNLOADS), "linux-7.3.4.tar.xz", "apt", "linux-source-7.3"):
            self.assertIn(words, said)
        self.assertEqual(len(said.splitlines()), 1)

    def test_the_network_is_not_asked_when_a_tarball_is_there(self) -> None:
        self.tarball()
        with mock.patch.object(apt, "download", side_effect=AssertionError):
            self.assertIn("linux-7.3.4.tar.xz", source.find(BASE, None).identity)

    def test_a_tarball_of_another_base_is_not_taken(self) -> None:
        self.tarball()
        (paths.DOWNLOADS / "linux-7.3.4.tar.xz").rename(paths.DOWNLOADS / "linux-7.31.tar.xz")
        self.assertIsNone(source._in_downloads(BASE))

    def test_something_else_than_a_kernel_is_refused(self) -> None:
        paths.DOWNLOADS.mkdir()
        process.output(
            ["tar", "-C", self.tmp, "-cJf", paths.DOWNLOADS / "linux-7.3.tar.xz", "kernel-patches"]
        )
        with self.assertRaisesRegex(HarnessError, "is not a Linux source tree"):
            source.plain_tree(BASE, source.find(BASE, None))

    def test_a_published_checksum(self) -> None:
        listing = f"-----BEGIN\n{'a' * 64}  linux-7.3.tar.xz\n{'b' * 64}  linux-7.3.4.tar.xz\n"
        self.assertEqual(source.published_checksum(listing, "linux-7.3.4.tar.xz"), "b" * 64)
        with self.assertRaises(HarnessError):
            source.published_checksum(listing, "linux-7.3.5.tar.xz")

    def test_a_wrong_checksum_keeps_nothing(self) -> None:
        paths.DOWNLOADS.mkdir()
        answers = [io.BytesIO(f"{'a' * 64}  linux-7.3.4.tar.xz\n".encode()), io.BytesIO(b"other")]
        with (
            mock.patch("urllib.request.urlopen", side_effect=answers),
            self.assertRaisesRegex(HarnessError, "published checksum"),
        ):
            source._from_kernel_org(BASE)
        self.assertEqual(list(paths.DOWNLOADS.iterdir()), [])


class Patching(Build):
    def setUp(self) -> None:
        super().setUp()
        self.tarball()
        self.plain = source.plain_tree(BASE, source.find(BASE, None))

    def write(self, text: str, name: str = "0001-a.patch") -> None:
        (self.patches / name).write_text(text)

    def apply(self) -> Path:
        return source.series_tree(BASE, self.plain, source.patches(BASE))

    def test_the_series_is_applied_and_the_plain_tree_stays(self) -> None:
        self.write(PATCH)
        tree = self.apply()
        self.assertEqual((tree / "dir/f").read_text(), "new\nsame\n")
        self.assertEqual((tree / "dir/added").read_text(), "added\n")
        self.assertEqual((self.plain / "dir/f").read_text(), "old\nsame\n")
        self.assertFalse((self.plain / "dir/added").exists())

    def test_untouched_files_are_shared(self) -> None:
        self.write(PATCH)
        tree = self.apply()
        self.assertTrue((tree / "dir/untouched").samefile(self.plain / "dir/untouched"))
        self.assertFalse((tree / "dir/f").samefile(self.plain / "dir/f"))

    def test_a_file_that_a_new_series_leaves_the_same_keeps_its_time(self) -> None:
        self.write(PATCH)
        tree = self.apply()
        os.utime(tree / "dir/f", ns=(10**18, 10**18))
        os.utime(tree / "dir/added", ns=(10**18, 10**18))
        self.write(PATCH.replace("+added", "+other"))
        self.apply()
        self.assertEqual((tree / "dir/f").stat().st_mtime_ns, 10**18)
        self.assertNotEqual((tree / "dir/added").stat().st_mtime_ns, 10**18)
        self.assertEqual((tree / "dir/added").read_text(), "other\n")

    def test_a_file_that_the_series_no_longer_touches_goes_back_and_is_newer(self) -> None:
        self.write(PATCH)
        tree = self.apply()
        old = (self.plain / "dir/f").stat().st_mtime_ns
        self.write(PATCH.partition("--- /dev/null")[2].join(["--- /dev/null", ""]))
        self.apply()
        self.assertEqual((tree / "dir/f").read_text(), "old\nsame\n")
        self.assertGreater((tree / "dir/f").stat().st_mtime_ns, old)

    def test_the_cover_letter_is_no_patch(self) -> None:
        self.write("cover", "0000-cover-letter.patch")
        self.assertEqual(source.patches(BASE), [])
        with self.assertRaisesRegex(HarnessError, "--stock needs none"):
            self.apply()

    def test_a_patch_that_does_not_apply_is_named_and_leaves_no_half(self) -> None:
        self.write(PATCH)
        self.write(PATCH.replace("-old", "-older"), "0002-b.patch")
        with self.assertRaisesRegex(HarnessError, "0002-b.patch does not apply"):
            self.apply()
        (self.patches / "0002-b.patch").unlink()
        self.assertEqual((self.apply() / "dir/f").read_text(), "new\nsame\n")

    def test_fuzz_is_not_accepted(self) -> None:
        self.write(PATCH.replace(" same", " some"))
        with self.assertRaises(HarnessError):
            self.apply()

    def test_a_changed_source_throws_the_old_trees_away(self) -> None:
        self.write(PATCH)
        self.apply()

        def unpack(into: Path) -> None:
            process.output(["cp", "-a", "-t", into, *self.tree("older\nsame\n").iterdir()])

        other = source.Source("other", "other", unpack)
        plain = source.plain_tree(BASE, other)
        self.assertEqual((plain / "dir/f").read_text(), "older\nsame\n")
        with self.assertRaisesRegex(HarnessError, "does not apply"):
            source.series_tree(BASE, plain, source.patches(BASE))


class Configuring(support.TemporaryDirectory):
    def fragment(self, name: str, text: str) -> Path:
        file = self.tmp / name
        file.write_text(text)
        return file

    def test_what_the_kernel_refused_is_named(self) -> None:
        asked = self.fragment("a", "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\nCONFIG_D=12\n")
        final = self.fragment("f", "CONFIG_A=y\nCONFIG_C=y\nCONFIG_D=12\n")
        self.assertEqual(kernel.unmet(BASE, [asked], final), ["CONFIG_B=y", "CONFIG_C=n"])

    def test_what_the_base_lacks_is_not_missed(self) -> None:
        asked = self.fragment("a", "CONFIG_IMA_STAGING=y\nCONFIG_B=y\n")
        final = self.fragment("f", "")
        self.assertEqual(kernel.unmet(bases.BASES["v6.12"], [asked], final), ["CONFIG_B=y"])
        self.assertEqual(kernel.unmet(BASE, [asked], final), ["CONFIG_IMA_STAGING=y", "CONFIG_B=y"])

    def test_a_base_that_lacks_a_flavours_option_does_not_have_the_flavour(self) -> None:
        lts = bases.BASES["v6.12"]
        for name in ("nostaging", "late", "stock-nostaging", "distro"):
            self.assertIsNotNone(kernel.flavour_reason(lts, kernel.find_flavour(name)), name)
            self.assertIsNone(kernel.flavour_reason(BASE, kernel.find_flavour(name)), name)
        for name in ("patched", "stock", "nohtable", "debug"):
            self.assertIsNone(kernel.flavour_reason(lts, kernel.find_flavour(name)), name)

    def test_the_last_fragment_wins(self) -> None:
        first = self.fragment("a", "CONFIG_A=y\n")
        second = self.fragment("b", "# CONFIG_A is not set\n")
        self.assertEqual(kernel.unmet(BASE, [first, second], self.fragment("f", "")), [])

    def test_every_flavour_has_its_fragments(self) -> None:
        for flavour in kernel.FLAVOURS.values():
            for fragment in kernel.fragment_files(flavour):
                self.assertTrue(fragment.is_file(), fragment)


class PointRelease(unittest.TestCase):
    def test_one_that_is_too_old_is_refused(self) -> None:
        lts = bases.BASES["v6.12"]
        for found in ("6.12.94", "6.12.117", "6.12.117-rc1", "6.13.0", "7.0"):
            source._check_version(lts, found)
            source._check_version(BASE, found)
        for found in ("6.12.93", "6.12", "6.11.200"):
            with self.assertRaises(HarnessError):
                source._check_version(lts, found)


class Variants(support.TemporaryDirectory):
    """A build that is given a configuration and the output of make."""

    def build(self, config: str, output: str = "") -> list[str]:
        def make(tree: Path, obj: Path, targets: list[str], log: Path) -> None:
            obj.mkdir(exist_ok=True)
            (obj / ".config").write_text(config)
            log.write_text(output)

        tree = mock.Mock(src=self.tmp, top=self.tmp)
        variant = kernel_variants.Variant("v", fragments=(), required=("CONFIG_A=n",))
        with mock.patch.object(kernel, "make", make):
            return kernel_variants.build(variant, tree, ["dir/", "one/file.o"])

    def test_every_variant_has_its_fragments(self) -> None:
        for variant in kernel_variants.VARIANTS:
            for fragment in variant.files:
                self.assertTrue(fragment.is_file(), fragment)

    def test_warnings_are_those_about_what_the_series_touches(self) -> None:
        log = "".join(
            f"  CC      {name}.o\n../{name}.c:1:2: warning: unused x\n"
            for name in ("dir/sub/a", "one/file", "one/other", "other/dir/b")
        )
        self.assertEqual(
            self.build("CONFIG_IMA_SNAPSHOT=y\n", log),
            ["dir/sub/a: dir/sub/a.c: warning: unused x", "one/file: one/file.c: warning: unused x"],
        )

    def test_another_configuration_than_the_one_that_is_meant_fails(self) -> None:
        for config in ("", "CONFIG_IMA_SNAPSHOT=y\nCONFIG_A=y\n"):
            with self.subTest(config), self.assertRaisesRegex(HarnessError, "refuses"):
                self.build(config)


class Copying(support.TemporaryDirectory):
    def test_host_tools_are_named_as_if_they_were_made_in_the_copy(self) -> None:
        origin, copy = self.tmp / "plain/obj-stock", self.tmp / "series/obj-stock-two"
        (origin / "tools").mkdir(parents=True)
        copy.parent.mkdir()
        tool = origin / "tools/.t.cmd"
        tool.write_text(f"{origin}/t.o: {origin.parent}/t.c ../obj-stock/t.h /x/obj-stock-other/t.h\n")
        os.utime(tool, ns=(10**18, 10**18))
        kernel.copy_objects(origin, copy)
        self.assertEqual(
            (copy / "tools/.t.cmd").read_text(),
            f"{copy}/t.o: {copy.parent}/t.c ../obj-stock-two/t.h /x/obj-stock-other/t.h\n",
        )
        self.assertEqual((copy / "tools/.t.cmd").stat().st_mtime_ns, 10**18)


class Mirrors(unittest.TestCase):
    def mirrors(self, text: str) -> list[str]:
        with mock.patch.object(process, "output", return_value=text):
            return apt.mirrors()

    def test_debian_first_security_never(self) -> None:
        text = (
            "http://tools.example/ stable Tools\nhttp://debian.example/debian/ oldstable Debian\n"
            "http://debian.example/debian/ oldstable-updates Debian\n"
            "http://debian.example/security/ oldstable-security Debian\n"
        )
        self.assertEqual(self.mirrors(text), ["http://debian.example/debian/"])

    def test_before_the_first_update_no_origin_is_known(self) -> None:
        self.assertEqual(self.mirrors("http://m.example/debian/ trixie \n"), ["http://m.example/debian/"])


class Warnings(unittest.TestCase):
    def test_only_more_of_the_same_is_new(self) -> None:
        before = warnings_log.by_object("  CC      a/f.o\n../a/f.c:10:5: warning: unused x\n")
        moved = warnings_log.by_object("  CC      a/f.o\n../a/f.c:99:7: warning: unused x\n")
        twice = warnings_log.by_object(
            "  CC      a/f.o\n../a/f.c:1:1: warning: unused x\n../a/f.c:2:2: warning: unused x\n"
        )
        self.assertEqual(warnings_log.new(before, moved), [])
        self.assertEqual(warnings_log.new(before, twice), ["a/f: a/f.c: warning: unused x"])

    def test_compiler_and_checker_share_an_object(self) -> None:
        log = "  CC      a/f.o\n  CHECK   ../a/f.c\n../a/f.c:1:1: warning: symbol 'y' was not declared\n"
        self.assertEqual(list(warnings_log.by_object(log)), ["a/f"])


if __name__ == "__main__":
    unittest.main()
