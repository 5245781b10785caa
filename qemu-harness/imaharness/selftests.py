# SPDX-License-Identifier: GPL-2.0-or-later
"""Build selftests/ as the kernel does and run the programs in guests."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import given, paths, process, source
from .bases import Base
from .errors import HarnessError
from .guest import GuestSpec, Outcome, run_guest
from .image import GUEST_SELFTESTS
from .ktap import Document
from .report import Status, Suite
from .tpm import TpmSpec

_SKIP = 4  # KSFT_SKIP
_SOURCE = paths.ROOT / "selftests"


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

    def of(self, programs: Sequence[str]) -> list[str]:
        return [p for p in programs if re.fullmatch(f"(?:{self.only})_test", p)]


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
    Setting("template", "patched", TpmSpec(), "snapshot_(counters|record)", ("ima_template_fmt=d-ng|n-ng|iuid|imode",)),
    Setting("nohtable", "nohtable", TpmSpec(), "lists|snapshot_(counters|open|staging|write)"),
    Setting("nostaging", "nostaging", TpmSpec(), "lists|snapshot_(counters|open|staging)"),
    Setting("nosnapshot", "nosnapshot", TpmSpec(), "lists|snapshot_(files|open)"),
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
    process.logged(["make", "-C", plain, f"O={headers}", "headers"], log=log)
    paths.SELFTESTS_BUILD.mkdir(parents=True, exist_ok=True)
    argv: list[str | Path] = ["make", "-C", place, f"OUTPUT={paths.SELFTESTS_BUILD}"]
    argv.append(f"KHDR_INCLUDES=-isystem {headers}/usr/include")
    process.logged([*argv, "all"], log=log)
    told = process.output([*argv, "-s", "emit_tests", "COLLECTION=ima"])
    programs = re.findall(r"^ima:(\S+)", told, re.MULTILINE)
    for script in (_SOURCE / name for name in programs):
        if script.is_file():
            shutil.copy(script, paths.SELFTESTS_BUILD)
    return programs


def warnings(log: str) -> list[str]:
    """The lines in which a compiler, the linker or make warns."""
    return [line for line in log.splitlines() if re.search(r"\bwarning: ", line)]


def compile_as_mailed(base: Base, ksrc: Path | None = None) -> Suite:
    """Build as in a tree with the mailed series; no compiler may warn. After build()."""
    suite = Suite("selftests-build")
    folder = _placed(base, ksrc).parent
    for compiler, option in (("gcc", "LLVM="), ("clang", "LLVM=1")):
        if shutil.which(compiler) is None:
            suite.add(compiler, Status.SKIP, f"{compiler} is not installed")
            continue
        log = paths.KERNELS / base.name / f"selftests-{compiler}.log"
        log.unlink(missing_ok=True)
        shutil.rmtree(_headers(base) / "kselftest", ignore_errors=True)
        try:
            process.logged(["make", "-C", folder, f"O={_headers(base)}", "TARGETS=ima", option], log=log)
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


def _script(programs: Sequence[str], seconds: int, noise: bool = False) -> list[str]:
    """Run each program on its own; /out gets its output and exit status under its name."""
    lines = [f"cd {GUEST_SELFTESTS}"]
    if noise:
        lines.append(_NOISE)
    if given.image() is None:
        lines.append("export IMA_READERS_PROTECTED=1")  # every setting that deletes has the series
    for program in programs:
        quoted = shlex.quote(program)
        lines.append(f"timeout {seconds} ./{quoted} >/out/{quoted}.ktap 2>&1; echo $? >/out/{quoted}.status")
    return ["sh", "-c", "\n".join(lines)]


def run(base: Base, programs: Sequence[str], setting: Setting, ksrc: Path | None) -> Suite:
    """Run the PROGRAMS of SETTING in one guest; each of their tests is a case."""
    suite = Suite(f"selftests-{setting.name}")
    needed = ["ima", "policy"] + (["tpm"] if setting.tpm.version != "none" else [])
    if (reason := given.reason_against(setting.flavour, needed)) is not None:
        suite.add(suite.name, Status.SKIP, reason)
        return suite
    programs = setting.of(programs)
    seconds = timeout()
    spec = GuestSpec(
        command=_script(programs, seconds, setting.noise),
        base=base.name,
        flavour=setting.flavour,
        kernel=given.image(),
        ksrc=ksrc,
        tpm=setting.tpm,
        append=setting.append,
        timeout=float(seconds * len(programs) + 60),
        name=f"selftests-{setting.name}",
    )
    result = run_guest(spec)
    suite.seconds = result.seconds
    for program in programs:
        _collect(suite, program, result.out, setting.expect_skip)
    if result.outcome is not Outcome.EXITED:
        suite.add("guest", Status.FAIL, result.explain())
    return suite


def _collect(suite: Suite, program: str, out: Path, expect_skip: bool) -> None:
    output, told = out / f"{program}.ktap", out / f"{program}.status"
    text = output.read_text(errors="replace") if output.exists() else ""
    status = int(told.read_text()) if told.exists() else None
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


def run_all(base: Base, ksrc: Path | None = None) -> list[Suite]:
    """Run the programs of each setting."""
    programs = build(base, ksrc)
    if not programs:
        suite = Suite("selftests")
        suite.add("selftests", Status.SKIP, "selftests/ has no program")
        return [suite]
    if not source.patches(base):
        raise HarnessError(f"selftests need the series of {base.name}")
    return [compile_as_mailed(base, ksrc), *(run(base, programs, setting, ksrc) for setting in SETTINGS)]
