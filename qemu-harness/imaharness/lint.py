# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the source text: shell, Python, C++ formatting, manuals, licence lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import clang, paths, process
from .report import Status, Suite

# The kernel's own files of these names have no licence line either.
_AS_IN_THE_KERNEL = {"selftests/config", "selftests/settings"}
# Formats without comments.
_NO_COMMENTS = {f"userspace/debian/{name}" for name in ("changelog", "copyright", "docs", "source/format")}
# Messages may change, so tests assert codes and fields. These assert wording.
_WORDING = re.compile(r"\b(HasSubstr|StartsWith|EndsWith|MatchesRegex|ContainsRegex)\(")
_MOST_WORDING = 40
_NO_LICENCE_LINE = {".patch", ".json", ".bin", ".ima", ".pem", ".der", ".txt", ".ktap", ".xml"}


def tracked_files() -> list[Path]:
    """All files of the repository that are not ignored, committed or not."""
    listed = process.output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=paths.ROOT
    )
    files = (paths.ROOT / name for name in listed.split("\0") if name)
    return sorted(f for f in files if f.is_file() and not f.is_symlink())


def _first_line(file: Path) -> str:
    with file.open("rb") as f:
        return f.readline(200).decode(errors="replace")


def _interpreter(file: Path) -> str:
    line = _first_line(file)
    return line.split("/")[-1].strip().split()[-1] if line.startswith("#!") else ""


def shell_scripts(files: Iterable[Path]) -> list[Path]:
    return [f for f in files if _interpreter(f) in ("sh", "bash", "dash") or f.parent.name == "completions"]


def python_files(files: Iterable[Path]) -> list[Path]:
    return [f for f in files if f.suffix == ".py" or _interpreter(f) == "python3"]


def cpp_files(files: Iterable[Path]) -> list[Path]:
    top = paths.ROOT / "userspace"
    return [f for f in files if f.suffix in (".cc", ".h") and f.is_relative_to(top)]


def manual_pages(files: Iterable[Path]) -> list[Path]:
    return [f for f in files if f.parent.name == "man" and re.fullmatch(r"\.[1-8]", f.suffix)]


def _complaints(argv: Sequence[str | Path]) -> str:
    env = {**os.environ, "MYPYPATH": f"{paths.HARNESS}:{paths.HARNESS / 'tests'}"}
    done = subprocess.run(argv, cwd=paths.ROOT, env=env, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit {done.returncode}"


def _mypy(directory: str, *options: str) -> list[str | Path]:
    return [
        *("mypy", "--strict", "--python-version=3.11", f"--cache-dir={paths.BUILD / 'mypy'}", *options),
        paths.HARNESS / directory,
    ]


# The directories of tests are checked one by one: they have modules with the same names.
_TYPES = {
    "imaharness bench": [*_mypy("imaharness"), paths.HARNESS / "bench"],
    **{f"tests/{name}": _mypy(f"tests/{name}", "--explicit-package-bases") for name in ("unit", "package", "e2e")},
}


def without_licence(files: Iterable[Path]) -> list[Path]:
    """The files that name no licence in their first lines."""
    found = []
    for file in files:
        below = file.relative_to(paths.ROOT)
        if str(below) in _AS_IN_THE_KERNEL | _NO_COMMENTS:
            continue
        if file.suffix in _NO_LICENCE_LINE or below.parts[0] == "LICENSES" or {"data", "corpus"} & set(below.parts):
            continue
        head = file.read_bytes()[:2000]
        if head and b"SPDX-License-Identifier" not in head:
            found.append(below)
    return found


def _add(suite: Suite, name: str, complaint: str) -> None:
    suite.add(name, Status.FAIL if complaint else Status.PASS, complaint)


def _judge(suite: Suite, name: str, argv: Sequence[str | Path]) -> None:
    """Add the result of the tool ARGV; skip it if the tool is not installed."""
    if shutil.which(argv[0]) is None:
        suite.add(name, Status.SKIP, f"{argv[0]} is not installed")
    else:
        _add(suite, name, _complaints(argv))


def run() -> Suite:
    """Run all checks; a check whose tool is not installed is skipped."""
    suite = Suite("lint")
    files = tracked_files()
    for script in shell_scripts(files):
        _judge(suite, f"shellcheck {script.relative_to(paths.ROOT)}", ["shellcheck", "-x", script])
    for name, argv in _TYPES.items():
        _judge(suite, f"mypy {name}", argv)
    _judge(suite, "ruff", ["ruff", "check", "--quiet", "--no-cache", *python_files(files)])
    if sources := cpp_files(files):
        if reason := clang.unsuitable("clang-format"):
            suite.add("clang-format", Status.SKIP, reason)
        else:
            _add(suite, "clang-format", _complaints(["clang-format", "--dry-run", "-Werror", *sources]))
    for page in manual_pages(files):
        _judge(suite, f"manual {page.relative_to(paths.ROOT)}", ["mandoc", "-T", "lint", "-W", "warning", page])
    wording = sum(len(_WORDING.findall(f.read_text())) for f in sources if f.parent.name == "tests")
    _add(suite, "wording", f"tests assert wording {wording} times" if wording > _MOST_WORDING else "")
    bare = without_licence(files)
    _add(suite, "licence lines", "\n".join(f"{f}: no SPDX line" for f in bare))
    return suite
