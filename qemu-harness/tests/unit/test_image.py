# SPDX-License-Identifier: GPL-2.0-or-later
"""Building the initramfs; cpio reads it back."""

from __future__ import annotations

import io
import shutil
import subprocess
import unittest
from pathlib import Path

import support
from imaharness import image, paths
from imaharness.cpio import CpioWriter


def listed(archive: bytes) -> dict[str, str]:
    done = subprocess.run(["cpio", "-itv", "--quiet"], input=archive, capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    return {line.split(None, 8)[8]: line.split()[0] for line in lines}


class Cpio(support.TemporaryDirectory):
    def archive(self) -> bytes:
        out = io.BytesIO()
        cpio = CpioWriter(out)
        cpio.directory("/tmp", 0o1777)
        cpio.file("/a/b/file", b"text", 0o600)
        cpio.file("/a/b/odd", b"12345")
        cpio.symlink("/a/link", "b/file")
        cpio.device("/dev/console", 5, 1)
        cpio.close()
        return out.getvalue()

    def test_names_and_modes(self) -> None:
        found = listed(self.archive())
        self.assertEqual(found["tmp"], "drwxrwxrwt")
        self.assertEqual(found["a/b"], "drwxr-xr-x")
        self.assertEqual(found["a/b/file"], "-rw-------")
        self.assertEqual(found["a/link -> b/file"], "lrwxrwxrwx")
        self.assertTrue(any(mode.startswith("c") for mode in found.values()))

    def test_contents_survive(self) -> None:
        subprocess.run(
            ["cpio", "-id", "--quiet", "a/*"], input=self.archive(), cwd=self.tmp, check=True
        )
        self.assertEqual((self.tmp / "a/b/odd").read_bytes(), b"12345")
        self.assertEqual((self.tmp / "a/link").read_bytes(), b"text")

    def test_a_parent_is_made_once(self) -> None:
        self.assertEqual(self.archive().count(b"a/b\0"), 1)


@unittest.skipUnless(shutil.which("busybox"), "busybox is not installed")
class Shared(unittest.TestCase):
    def test_it_has_what_a_guest_needs_and_is_made_once(self) -> None:
        first = image.shared_image()
        stamp = first.stat().st_mtime_ns
        again = image.shared_image()
        self.assertEqual((again, again.stat().st_mtime_ns), (first, stamp))
        found = listed(first.read_bytes())
        for name in ("init", "bin/busybox", "bin/sh -> /bin/busybox", "out", "root", "etc/passwd"):
            self.assertIn(name, found)
        self.assertNotIn("bin/busybox -> /bin/busybox", found)


class Run(support.TemporaryDirectory):
    def test_a_program_comes_with_its_libraries_and_a_directory_whole(self) -> None:
        tree = self.tmp / "tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub/file").write_text("x")
        policy = self.tmp / "policy"
        policy.write_text("measure func=FILE_CHECK\n")
        contents = image.Contents(
            ["true"],
            copies=[image.Copy(Path("/bin/bash"), "/usr/local/bin/bash"), image.Copy(tree, "/data")],
            policy=policy,
        )
        initrd = self.tmp / "initrd"
        image.write_initrd(contents, initrd)
        shared = image.shared_image().stat().st_size
        common, found = listed(initrd.read_bytes()[:shared]), listed(initrd.read_bytes()[shared:])
        self.assertEqual(found["usr/local/bin/bash"], "-rwxr-xr-x")
        self.assertEqual(found["harness/command"], "-rwxr-xr-x")
        self.assertIn("data/sub/file", found)
        self.assertIn("harness/policy", found)
        for library in image.libraries(Path("/bin/bash")):
            self.assertEqual((library[1:] in common) + (library[1:] in found), 1, library)

    def test_the_project_root_is_where_it_should_be(self) -> None:
        self.assertTrue((paths.ROOT / "qemu-harness" / "vm").is_file())


if __name__ == "__main__":
    unittest.main()
