# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package: what is in it, and what installing, upgrading and purging it do."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest
from functools import cache
from pathlib import Path

import support  # noqa: F401  (puts the harness on the path)
from imaharness import chroot, package, process
from imaharness.chroot import Chroot

_CONFIG = "/etc/ima-snapshot.conf"
_STORE = "/var/lib/ima-snapshot"
_SEGMENT = f"{_STORE}/boots/00000001/00000001.ima"
_ENABLED = "/etc/systemd/system/multi-user.target.wants/ima-snapshotd.service"
_DOC = "./usr/share/doc/ima-snapshot"
_MAN = "./usr/share/man"
_COMPLETIONS = "./usr/share/bash-completion/completions"

# All files, with their modes. Debian 12 has the units in /lib, which is the same directory.
_FILES = {
    "./etc/ima-snapshot.conf": "-rw-r--r--",
    "./usr/lib/systemd/system/ima-snapshot-final.service": "-rw-r--r--",
    "./usr/lib/systemd/system/ima-snapshot-view.service": "-rw-r--r--",
    "./usr/lib/systemd/system/ima-snapshotd.service": "-rw-r--r--",
    "./usr/bin/ima-snapshot": "-rwxr-xr-x",
    "./usr/lib/sysusers.d/ima-snapshot.conf": "-rw-r--r--",
    "./usr/lib/tmpfiles.d/ima-snapshot.conf": "-rw-r--r--",
    "./usr/sbin/ima-snapshotd": "-rwxr-xr-x",
    f"{_COMPLETIONS}/ima-snapshot": "-rw-r--r--",
    f"{_COMPLETIONS}/ima-snapshotd": "-rw-r--r--",
    f"{_DOC}/GLOSSARY.md.gz": "-rw-r--r--",
    f"{_DOC}/README.Debian": "-rw-r--r--",
    f"{_DOC}/STORE.md.gz": "-rw-r--r--",
    f"{_DOC}/changelog.gz": "-rw-r--r--",
    f"{_DOC}/copyright": "-rw-r--r--",
    f"{_MAN}/man1/ima-snapshot-mount.1.gz": "-rw-r--r--",
    f"{_MAN}/man1/ima-snapshot-evidence.1.gz": "-rw-r--r--",
    f"{_MAN}/man1/ima-snapshot-quote.1.gz": "-rw-r--r--",
    f"{_MAN}/man1/ima-snapshot-verify.1.gz": "-rw-r--r--",
    f"{_MAN}/man1/ima-snapshot.1.gz": "-rw-r--r--",
    f"{_MAN}/man5/ima-snapshot-store.5.gz": "-rw-r--r--",
    f"{_MAN}/man5/ima-snapshot.conf.5.gz": "-rw-r--r--",
    f"{_MAN}/man7/ima-snapshot-verifiers.7.gz": "-rw-r--r--",
    f"{_MAN}/man8/ima-snapshotd.8.gz": "-rw-r--r--",
    "./usr/share/lintian/overrides/ima-snapshot": "-rw-r--r--",
}

# What a purge leaves behind: the group, backups of the files that name groups, and
# the packaging system's own files.
_STAYS = re.compile(r"/etc/(group|gshadow|passwd|shadow)-?|/var/(lib/dpkg|log|cache)/.*|/run/.*")


# The libraries that each program links, besides the runtime of C and C++.
_LIBRARIES = {
    "usr/bin/ima-snapshot": {
        "libarchive",
        "libcrypto",
        "libfmt",
        "libfuse3",
        "libsystemd",
        "libtss2-esys",
        "libtss2-mu",
        "libtss2-rc",
        "libtss2-tcti-device",
        "libtss2-tctildr",
    },
    "usr/sbin/ima-snapshotd": {
        "libcrypto",
        "libfmt",
        "libfuse3",
        "libsystemd",
        "libtss2-esys",
        "libtss2-rc",
        "libtss2-tcti-device",
        "libtss2-tctildr",
    },
}
_OF_THE_LANGUAGE = {"libc", "libgcc_s", "libm", "libstdc++", "ld-linux-x86-64"}


def owners(library: str) -> set[str]:
    """The installed packages that have a library of this name."""
    output = process.output(["dpkg-query", "--search", f"*/{library}"])
    return {line.split(":")[0] for line in output.splitlines()}


@cache
def built() -> Path:
    """The package, built once for all tests."""
    for tool in ("dpkg-buildpackage", "dh"):
        if shutil.which(tool) is None:
            raise unittest.SkipTest(f"{tool} is not installed")
    return package.built()


class Contents(unittest.TestCase):
    def test_the_files_and_their_modes(self) -> None:
        listed = process.output(["dpkg-deb", "--contents", built()]).splitlines()
        columns = [line.split(maxsplit=5) for line in listed]
        self.assertEqual({line[1] for line in columns}, {"root/root"})
        found = {c[5].replace("./lib/", "./usr/lib/"): c[0] for c in columns if not c[5].endswith("/")}
        self.assertEqual(found, _FILES)
        self.assertIn("./etc/ima-snapshot.conf.d/", [c[5] for c in columns])

    def test_the_version_is_the_projects(self) -> None:
        self.assertEqual(
            process.output(["dpkg-deb", "--field", built(), "Version"]).strip(), package.version()
        )

    def test_each_program_needs_the_libraries_that_it_uses_and_the_package_depends_on_them(self) -> None:
        depends = process.output(["dpkg-deb", "--field", built(), "Depends"])
        packages = set(re.findall(r"(?:^|, )([^ ,]+)", depends.strip()))
        with tempfile.TemporaryDirectory() as tree:
            process.output(["dpkg-deb", "--extract", built(), tree])
            for program, libraries in _LIBRARIES.items():
                with self.subTest(program):
                    output = process.output(["objdump", "--private-headers", f"{tree}/{program}"])
                    needed = re.findall(r"^ +NEEDED +(\S+)$", output, re.M)
                    self.assertEqual({re.sub(r"\.so\b.*", "", name) for name in needed} - _OF_THE_LANGUAGE, libraries)
                    for name in needed:
                        if name.startswith("lib"):  # the loader belongs to the C library
                            self.assertTrue(owners(name) & packages, f"{name} of {owners(name)}: not in {packages}")

    def test_lintian_finds_nothing(self) -> None:
        if shutil.which("lintian") is None:
            self.skipTest("lintian is not installed")
        source = built().parent / f"{package.NAME}_{package.version()}.dsc"
        options = ["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]
        argv: list[str | Path] = ["lintian", *options, built(), source]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


def everything(root: Path) -> dict[str, str]:
    """Every file and directory below ROOT except its /tmp and /proc, with its mode."""
    found = {}
    for top, directories, files in os.walk(root):
        below = Path("/") / Path(top).relative_to(root)
        if below == Path("/"):
            directories[:] = [d for d in directories if d not in ("tmp", "proc")]
        for name in (*directories, *files):
            found[str(below / name)] = stat.filemode((Path(top) / name).lstat().st_mode)
    return found


class InChroot(unittest.TestCase):
    """Tests in a minimal Debian with the package and its dependencies."""

    tmp: Path
    system: Chroot
    before: dict[str, str]

    @classmethod
    def boot(cls) -> None:
        if reason := chroot.missing():
            raise unittest.SkipTest(reason)
        deb = built()
        archive = chroot.tarball(package.dependencies(deb))
        cls.tmp = Path(tempfile.mkdtemp(prefix="ima-test-"))
        cls.system = Chroot(cls.tmp / "root", archive)
        cls.before = everything(cls.system.root)
        cls.system.install(deb)

    @classmethod
    def discard(cls) -> None:
        shutil.rmtree(cls.tmp)

    def dpkg(self, action: str, what: Path | str) -> str:
        """Have dpkg do ACTION, and return its output."""
        if isinstance(what, Path):
            shutil.copy(what, self.system.root / "tmp")
            what = f"/tmp/{what.name}"
        return self.run_in(0, "dpkg", action, what)

    def run_in(self, status: int, *argv: str) -> str:
        done = self.system.run(*argv)
        self.assertEqual(done.returncode, status, f"{' '.join(argv)}: {done.stdout}")
        return done.stdout

    def path(self, name: str) -> Path:
        return self.system.path(name)

    def make_segment(self) -> bytes:
        content = b"\x0a\x00\x00\x00segment" * 100
        self.path(_SEGMENT).parent.mkdir(parents=True)
        self.path(_SEGMENT).write_bytes(content)
        return content


class Installing(InChroot):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.boot()
        cls.addClassCleanup(cls.discard)

    def test_the_group_and_the_directories_are_made(self) -> None:
        line = self.run_in(0, "getent", "group", "ima-log").strip()
        number = int(line.split(":")[2])
        for name, mode in ((_STORE, "drwxr-s---"), ("/run/lock/ima-snapshot.lock", "-rw-r-----")):
            status = self.path(name).stat()
            self.assertEqual((stat.filemode(status.st_mode), status.st_uid, status.st_gid), (mode, 0, number), name)

    def test_no_service_is_enabled(self) -> None:
        self.assertFalse(self.path(_ENABLED).is_symlink())
        self.run_in(0, "systemctl", "--root=/", "enable", "ima-snapshotd.service")
        self.assertTrue(self.path(_ENABLED).is_symlink())
        # These start with the daemon, and at boot.
        for target in ("ima-snapshotd.service", "multi-user.target"):
            for unit in ("ima-snapshot-view.service", "ima-snapshot-final.service"):
                self.assertTrue(self.path(f"/etc/systemd/system/{target}.wants/{unit}").is_symlink(), unit)

    def test_the_programs_run(self) -> None:
        number = package.version()
        self.assertEqual(self.run_in(0, "ima-snapshot", "--version"), f"ima-snapshot {number}\n")
        self.assertEqual(self.run_in(0, "ima-snapshotd", "--version"), f"ima-snapshotd {number}\n")
        self.assertEqual(self.run_in(0, "ima-snapshotd", "--check-config"), "")

    def test_without_ima_they_say_what_is_missing(self) -> None:
        why = "/sys/kernel/security/ima does not exist: IMA is not built in, or securityfs is not mounted"
        output = self.run_in(0, "ima-snapshot", "status")
        self.assertIn(f"backend   none ({why})\n", output)
        self.assertEqual(self.run_in(1, "ima-snapshot", "take"), f"ima-snapshot: no snapshot can be taken: {why}\n")
        self.assertFalse(self.path(f"{_STORE}/boots").exists())

    def test_units_start_the_programs_that_are_there(self) -> None:
        units = list(self.path("/lib/systemd/system").glob("ima-snapshot*.service"))
        self.assertEqual(len(units), 3)
        for unit in units:
            (program,) = re.findall(r"^ExecSt(?:art|op)=(\S+)", unit.read_text(), re.M)
            self.assertTrue(os.access(self.path(program), os.X_OK), f"{unit.name} starts {program}")

    def test_man_finds_the_manuals(self) -> None:
        if shutil.which("man") is None:
            self.skipTest("man-db is not installed")
        tree = self.path("/usr/share/man")
        for section, name in (
            ("1", "ima-snapshot"),
            ("1", "ima-snapshot-mount"),
            ("1", "ima-snapshot-evidence"),
            ("1", "ima-snapshot-quote"),
            ("1", "ima-snapshot-verify"),
            ("5", "ima-snapshot.conf"),
            ("5", "ima-snapshot-store"),
            ("8", "ima-snapshotd"),
        ):
            found = process.output(["man", "-M", tree, "-w", section, name]).strip()
            self.assertEqual(Path(found), tree / f"man{section}" / f"{name}.{section}.gz")


class Changing(InChroot):
    """Each test has a system of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.boot()
        self.addCleanup(self.discard)


class Upgrading(Changing):
    def test_a_changed_configuration_store_and_service_stay(self) -> None:
        content = self.make_segment()
        written = self.path(_SEGMENT).stat()
        self.path(_CONFIG).write_text("keep_boots = 7\n")
        drop_in = self.path(f"{_CONFIG}.d/10-mine.conf")
        drop_in.write_text("max_records = 5\n")
        self.run_in(0, "systemctl", "--root=/", "enable", "ima-snapshotd.service")

        newer = package.repack(built(), f"{package.version()}+1", {}, self.tmp)
        self.dpkg("--install", newer)

        status = self.run_in(0, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", package.NAME)
        self.assertEqual(status, f"{package.version()}+1 installed")
        self.assertEqual(self.path(_CONFIG).read_text(), "keep_boots = 7\n")
        self.assertEqual(drop_in.read_text(), "max_records = 5\n")
        self.assertTrue(self.path(_ENABLED).is_symlink())
        self.assertEqual(self.path(_SEGMENT).read_bytes(), content)
        now = self.path(_SEGMENT).stat()
        self.assertEqual((now.st_ino, now.st_mtime_ns, now.st_mode), (written.st_ino, written.st_mtime_ns, written.st_mode))

    def test_an_unchanged_configuration_is_replaced_from_an_older_version(self) -> None:
        new = self.path(_CONFIG).read_text()
        self.dpkg("--purge", package.NAME)
        older = package.repack(built(), "0.0.1", {"etc/ima-snapshot.conf": "# of an older version\n"}, self.tmp)
        self.dpkg("--install", older)
        self.assertEqual(self.path(_CONFIG).read_text(), "# of an older version\n")
        self.dpkg("--install", built())
        self.assertEqual(self.path(_CONFIG).read_text(), new)


class Removing(Changing):
    def test_removal_keeps_configuration_and_store(self) -> None:
        content = self.make_segment()
        self.path(_CONFIG).write_text("keep_boots = 7\n")
        self.dpkg("--remove", package.NAME)
        self.assertFalse(self.path("/usr/bin/ima-snapshot").exists())
        self.assertFalse(self.path("/usr/sbin/ima-snapshotd").exists())
        self.assertEqual(self.path(_CONFIG).read_text(), "keep_boots = 7\n")
        self.assertEqual(self.path(_SEGMENT).read_bytes(), content)

    def test_purge_keeps_a_store_with_segments_and_says_so(self) -> None:
        content = self.make_segment()
        output = self.dpkg("--purge", package.NAME)
        self.assertIn(f"{_STORE} is kept", output)
        self.assertIn(f"rm -r {_STORE}", output)
        self.assertEqual(self.path(_SEGMENT).read_bytes(), content)
        self.assertFalse(self.path(_CONFIG).exists())

    def test_purge_leaves_nothing_else(self) -> None:
        self.run_in(0, "systemctl", "--root=/", "enable", "ima-snapshotd.service")
        self.path(f"{_STORE}/boots/00000001").mkdir(parents=True)
        self.path("/etc/ima-snapshot.conf.d/mine.conf").write_text("keep_boots = 7\n")
        output = self.dpkg("--purge", package.NAME)
        self.assertNotIn("is kept", output)
        after = everything(self.system.root)
        changed = {name for name, mode in after.items() if self.before.get(name) != mode}
        self.assertEqual({name for name in changed if not _STAYS.fullmatch(name)}, set())
        self.assertEqual({name for name in set(self.before) - set(after) if not _STAYS.fullmatch(name)}, set())
