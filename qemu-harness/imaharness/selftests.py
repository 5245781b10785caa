# SPDX-License-Identifier: GPL-2.0-or-later
"""Build selftests/ as the kernel does and run the programs in guests."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

from . import arch, given, kernel, paths, process, source
from .bases import Base
from .errors import HarnessError
from .guest import GuestSpec, Outcome, run_guest
from .image import GUEST_SELFTESTS, Copy
from .ktap import Document
from .report import Status, Suite
from .tpm import TpmSpec

LEAKS = "kmemleak finds nothing"
_KMEMLEAK = "kmemleak=on"
_SKIP = 4  # KSFT_SKIP
_SOURCE = paths.ROOT / "selftests"
_INSTALLED = paths.BUILD / "kselftest"  # a folder for each compiler


@dataclass(frozen=True)
class Setting:
    """A guest, and the selftests that run in it: those whose names match ONLY."""

    name: str
    flavour: str
    tpm: TpmSpec
    only: str = ".*"
    append: tuple[str, ...] = ()
    expect_skip: bool = False  # the kernel lacks the feature
    noise: bool = False  # another process is measured all the time
    rounds: int = 1  # how often the programs run, one round after the other
    tests: tuple[str, ...] = ()  # only these, as program.fixture.test or program.fixture.variant.test

    @property
    def on_demand(self) -> bool:
        """Whether its kernel takes long to build."""
        return bool(kernel.FLAVOURS[self.flavour].instrumented)

    @property
    def finds_leaks(self) -> bool:
        return "debug" in kernel.FLAVOURS[self.flavour].fragments or _KMEMLEAK in self.append

    def of(self, programs: Sequence[str]) -> list[str]:
        """Those of the PROGRAMS that run."""
        return [p for p in programs if re.fullmatch(f"(?:{self.only})_test", p) and (not self.tests or self.options(p))]

    def options(self, program: str) -> list[str]:
        """The options that make PROGRAM run only the tests of this setting."""
        names = (test.removeprefix(f"{program}.") for test in self.tests if test.startswith(f"{program}."))
        return [option for name in names for option in ("-r", name)]


SETTINGS = (
    Setting("tpm2", "patched", TpmSpec(banks=("sha1", "sha256"))),
    Setting("one-bank", "patched", TpmSpec(interface="crb"), "snapshot_record"),
    Setting("three-banks", "patched", TpmSpec(banks=("sha1", "sha256", "sha384")), "snapshot_(record|read)"),
    Setting("tpm1.2", "patched", TpmSpec(version="1.2"), "snapshot_(open|record)"),
    Setting("no-tpm", "patched", TpmSpec(version="none")),
    # While another process measures a file every 20 ms.
    Setting("noise", "patched", TpmSpec(banks=("sha1", "sha256")), noise=True),
    # Deletion with ima_flush_htable, and a template without a name.
    Setting("flush", "patched", TpmSpec(), "lists|snapshot_(staging|write)", ("ima_flush_htable",)),
    # With all PCRs of these banks, the text of an aggregate fits in 4096 bytes, but its template data does not.
    Setting(
        "template",
        "patched",
        TpmSpec(banks=("sha1", "sha384")),
        "snapshot_(counters|record)",
        ("ima_template_fmt=d-ng|n-ng|iuid|imode",),
    ),
    Setting("nohtable", "nohtable", TpmSpec(), "lists|snapshot_(counters|open|staging|write)"),
    Setting("nostaging", "nostaging", TpmSpec(), "lists|snapshot_(counters|open|staging)"),
    Setting("nosnapshot", "nosnapshot", TpmSpec(), "lists|snapshot_(files|open)"),
    # Allocations fail, records are deleted, and nothing may leak.
    Setting(
        "memory",
        "patched",
        TpmSpec(banks=("sha1", "sha256")),
        "lists|snapshot_(memory|open|staging|write)",
        (_KMEMLEAK,),
    ),
    # With reports of what locks wrongly or is used after it was freed, too.
    Setting("debug", "debug", TpmSpec(banks=("sha1", "sha256"))),
    # Data races are reported.
    Setting("kcsan", "kcsan", TpmSpec(banks=("sha1", "sha256"))),
    Setting("stock", "stock", TpmSpec(), "snapshot_.*", expect_skip=True),
)


def _placed(base: Base, ksrc: Path | None) -> Path:
    """Copy the selftests to their place in the kernel tree: lib.mk must be one folder up."""
    place = source.plain_tree(base, source.find(base, ksrc)) / "tools/testing/selftests/ima"
    if place.exists():
        shutil.rmtree(place)
    shutil.copytree(_SOURCE, place)
    return place


def _headers(base: Base) -> Path:
    return paths.KERNELS / base.name / "headers"


def build(base: Base, ksrc: Path | None = None) -> list[str]:
    """Build the programs into build/selftests. Return their names, as lib.mk lists them."""
    if not (_SOURCE / "Makefile").is_file():
        return []
    place = _placed(base, ksrc)
    plain = place.parents[3]
    headers = _headers(base)
    log = paths.KERNELS / base.name / "selftests.log"
    log.unlink(missing_ok=True)
    process.logged(["make", "-C", plain, *arch.current().make_arguments, f"O={headers}", "headers"], log=log)
    paths.SELFTESTS_BUILD.mkdir(parents=True, exist_ok=True)
    argv: list[str | Path] = ["make", "-C", place, *arch.current().make_arguments, f"OUTPUT={paths.SELFTESTS_BUILD}"]
    argv.append(f"KHDR_INCLUDES=-isystem {headers}/usr/include")
    process.logged([*argv, "all"], log=log)
    output = process.output([*argv, "-s", "emit_tests", "COLLECTION=ima"])
    programs = re.findall(r"^ima:(\S+)", output, re.MULTILINE)
    for script in (_SOURCE / name for name in programs):
        if script.is_file():
            shutil.copy(script, paths.SELFTESTS_BUILD)
    return programs


def warnings(log: str) -> list[str]:
    """The lines in which a compiler, the linker or make warns."""
    return [line for line in log.splitlines() if re.search(r"\bwarning: ", line)]


def compile_as_mailed(base: Base, ksrc: Path | None = None) -> Suite:
    """Build and install as in a tree with the mailed series; no compiler may warn. After build()."""
    suite = Suite("selftests-build")
    folder = _placed(base, ksrc).parent
    for compiler, option in (("gcc", "LLVM="), ("clang", "LLVM=1")):
        if shutil.which(compiler) is None:
            suite.add(compiler, Status.SKIP, f"{compiler} is not installed")
            continue
        if compiler == "clang" and not arch.current().native:
            suite.add(compiler, Status.SKIP, f"clang has no C library for {arch.current().name} here")
            continue
        log = paths.KERNELS / base.name / f"selftests-{compiler}.log"
        log.unlink(missing_ok=True)
        for old in (_headers(base) / "kselftest", _INSTALLED / compiler):
            shutil.rmtree(old, ignore_errors=True)
        argv: list[str | Path] = ["make", "-C", folder, *arch.current().make_arguments, f"O={_headers(base)}"]
        argv += ["TARGETS=ima", option]
        try:
            process.logged([*argv, f"KSFT_INSTALL_PATH={_INSTALLED / compiler}", "install"], log=log)
        except HarnessError as e:
            suite.add(compiler, Status.FAIL, str(e))
        else:
            found = warnings(log.read_text(errors="replace"))
            suite.add(compiler, Status.FAIL if found else Status.PASS, "\n".join(found))
    return suite


def timeout() -> int:
    """The time-out of one program in seconds, from selftests/settings (kselftest's default is 45)."""
    settings = _SOURCE / "settings"
    text = settings.read_text() if settings.is_file() else ""
    found = re.search(r"^timeout=(\d+)", text, re.MULTILINE)
    return int(found.group(1)) if found else 45


# New files, which a rule of their own measures. Without the rule nothing would be measured.
_NOISE = """
echo "measure func=FILE_CHECK mask=MAY_READ fowner=61300" >/sys/kernel/security/ima/policy || exit 1
mkdir -p /noise
mount -t tmpfs noise /noise
(
	n=0
	while true; do
		n=$((n + 1))
		echo "$n" >"/noise/$n"
		chown 61300 "/noise/$n"
		cat "/noise/$n" >/dev/null
		rm "/noise/$n"
		usleep 20000
	done
) &
"""


# kmemleak reports nothing that is younger than five seconds. The second scan finds what the
# first one took for used. The kernel's own message is on the console if there is a leak.
_LEAKS = """
sleep 6
echo scan >/sys/kernel/debug/kmemleak || exit 1
echo scan >/sys/kernel/debug/kmemleak || exit 1
cat /sys/kernel/debug/kmemleak >/out/kmemleak
"""


def _place(program: str, number: int) -> str:
    """Where the output of a program goes, below /out."""
    return f"{number}/{program}"


def _script(programs: Sequence[str], seconds: int, setting: Setting) -> list[str]:
    """Run each program on its own; /out gets its output and exit status under its name."""
    lines = [f"cd {GUEST_SELFTESTS}"]
    if setting.noise:
        lines.append(_NOISE)
    if given.image() is None:
        lines.append("export IMA_READERS_PROTECTED=1")  # every setting that deletes has the series
    for number in range(1, setting.rounds + 1):
        lines.append(f"mkdir -p /out/{number}")
        for program in programs:
            run, out = shlex.join([f"./{program}", *setting.options(program)]), shlex.quote(f"/out/{_place(program, number)}")
            lines.append(f"timeout {seconds} {run} >{out}.ktap 2>&1; echo $? >{out}.status")
    if setting.finds_leaks:
        lines.append(_LEAKS)
    return ["sh", "-c", "\n".join(lines)]


def run(
    base: Base, programs: Sequence[str], setting: Setting, ksrc: Path | None, kernel_image: Path | None = None
) -> Suite:
    """Run the PROGRAMS of SETTING in one guest; each of their tests is a case.

    KERNEL_IMAGE is a kernel of the setting's flavour that was built before.
    """
    suite = Suite(f"selftests-{setting.name}")
    needed = ["ima", "policy"]
    needed += ["tpm"] if setting.tpm.version != "none" else []
    needed += ["kmemleak"] if setting.finds_leaks else []
    reason = kernel.flavour_reason(base, kernel.find_flavour(setting.flavour)) or setting.tpm.reason_against()
    if kernel_image is None:
        reason = reason or given.reason_against(setting.flavour, needed)
    if reason is not None:
        suite.add(suite.name, Status.SKIP, reason)
        return suite
    programs = setting.of(programs)
    seconds = timeout()
    spec = GuestSpec(
        command=_script(programs, seconds, setting),
        base=base.name,
        flavour=setting.flavour,
        kernel=kernel_image or given.image(),
        ksrc=ksrc,
        tpm=setting.tpm,
        append=setting.append,
        timeout=float(seconds * len(programs) * setting.rounds + 60),
        name=f"selftests-{setting.name}",
    )
    result = run_guest(spec)
    suite.seconds = result.seconds
    for number in range(1, setting.rounds + 1):
        prefix = f"round {number}: " if setting.rounds > 1 else ""
        for program in programs:
            _collect(suite, prefix + program, result.out / _place(program, number), setting.expect_skip)
    if setting.finds_leaks:
        _collect_leaks(suite, result.out / "kmemleak")
    if result.outcome is not Outcome.EXITED:
        suite.add("guest", Status.FAIL, result.explain())
    return suite


# The timeout of busybox lacks an option that the runner uses. Without it the runner sets no time-out.
# The runner opens its standard output once more, so both must append.
_RUNNER = """
rm /usr/bin/timeout
/kselftest/run_kselftest.sh -c ima >>/run/kselftest.ktap 2>&1
status=$?
cp /run/kselftest.ktap /out
exit $status
"""


def run_installed(base: Base, ksrc: Path | None = None) -> Suite:
    """Run what compile_as_mailed() installed with the kernel's own runner."""
    suite = Suite("selftests-kselftest")
    tpm = TpmSpec(banks=("sha1", "sha256"))
    reason = tpm.reason_against() or given.reason_against("patched", ["ima", "policy", "tpm"])
    if reason is not None:
        suite.add(suite.name, Status.SKIP, reason)
        return suite
    installed = _INSTALLED / "gcc"
    if not (installed / "kselftest-list.txt").exists():
        suite.add(suite.name, Status.FAIL, "nothing is installed")
        return suite
    programs = (installed / "kselftest-list.txt").read_text().split()
    spec = GuestSpec(
        command=["sh", "-c", _RUNNER],
        base=base.name,
        kernel=given.image(),
        ksrc=ksrc,
        tpm=tpm,
        copies=[Copy(installed, "/kselftest")],
        timeout=float(timeout() * len(programs)),
        name=suite.name,
    )
    result = run_guest(spec)
    suite.seconds = result.seconds
    output = result.out / "kselftest.ktap"
    Document(output.read_text(errors="replace") if output.exists() else "").add_to(suite)
    status = Status.PASS if result.ok else Status.FAIL
    suite.add("run_kselftest.sh", status, f"{result.explain()}, status {result.status}")
    return suite


def _collect_leaks(suite: Suite, file: Path) -> None:
    if not file.exists():
        suite.add("kmemleak", Status.FAIL, "it could not scan")
        return
    found = file.read_text(errors="replace")
    suite.add(LEAKS, Status.FAIL if found else Status.PASS, found)


def _collect(suite: Suite, program: str, place: Path, expect_skip: bool) -> None:
    output, exit_status = place.with_name(f"{place.name}.ktap"), place.with_name(f"{place.name}.status")
    text = output.read_text(errors="replace") if output.exists() else ""
    status = int(exit_status.read_text()) if exit_status.exists() else None
    if expect_skip:
        skipped = status == _SKIP and re.search(r"SKIP\s+\S", text) is not None
        why = "" if skipped else f"exit {status} instead of {_SKIP} with a reason:\n{text}"
        suite.add(f"{program} skips with its reason", Status.PASS if skipped else Status.FAIL, why)
        return
    if status is None:
        suite.add(program, Status.FAIL, f"it never ended; it printed:\n{text}")
    document = Document(text)
    before = suite.count(Status.FAIL)
    document.add_to(suite, f"{program}.")
    if status not in (0, _SKIP, None) and suite.count(Status.FAIL) == before:
        suite.add(program, Status.FAIL, f"exit {status}, though no test failed")


def _run_settings(base: Base, settings: Sequence[Setting], ksrc: Path | None) -> list[Suite]:
    programs = build(base, ksrc)
    if not programs:
        suite = Suite("selftests")
        suite.add("selftests", Status.SKIP, "selftests/ has no program")
        return [suite]
    if not source.patches(base):
        raise HarnessError(f"selftests need the series of {base.name}")
    with process.guest_pool() as pool:
        return list(pool.map(run, repeat(base), repeat(programs), settings, repeat(ksrc)))


def run_all(base: Base, ksrc: Path | None = None) -> list[Suite]:
    """Compile the programs as the kernel does, and run those of each setting but the debug kernels'."""
    suites = _run_settings(base, [setting for setting in SETTINGS if not setting.on_demand], ksrc)
    return [compile_as_mailed(base, ksrc), *suites, run_installed(base, ksrc)] if len(suites) > 1 else suites


def run_some(base: Base) -> list[Suite]:
    """Run all programs on the kernel with the series, with one kind of TPM."""
    return _run_settings(base, SETTINGS[:1], None)


def stress(base: Base, ksrc: Path | None, rounds: int) -> list[Suite]:
    """Run all programs ROUNDS times in one guest, while another process is measured all the time."""
    noise = next(setting for setting in SETTINGS if setting.noise)
    return _run_settings(base, [replace(noise, name="stress", rounds=rounds)], ksrc)


def debug(base: Base, ksrc: Path | None = None) -> list[Suite]:
    """Run all programs on the debug kernels, whose builds take long."""
    return _run_settings(base, [setting for setting in SETTINGS if setting.on_demand], ksrc)
