# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the text itself: shell, Python, C++ formatting, manuals, licence lines."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from . import clang, paths, process
from .report import Status, Suite

# The kernel's own files of these names have no licence line either.
_AS_IN_THE_KERNEL = {"selftests/config", "selftests/settings"}
# Formats without comments.
_NO_COMMENTS = {f"userspace/debian/{name}" for name in ("changelog", "copyright", "docs", "source/format")}
_NO_LICENCE_LINE = {".patch", ".json", ".bin", ".ima", ".pem", ".der", ".txt", ".ktap", ".xml"}


def tracked_files() -> list[Path]:
    """All files of the repository that are not ignored, committed or not yet."""
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


def _complaints(argv: list[str | Path]) -> str:
    done = subprocess.run(argv, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit {done.returncode}"


def untyped(source: str) -> list[str]:
    """The functions of a Python text that lack an annotation, as 'line: name'."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [a for a in (node.args.vararg, node.args.kwarg) if a is not None]
        bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        if bare or node.returns is None:
            found.append(f"{node.lineno}: {node.name}")
    return found


def foreign_imports(source: str) -> list[str]:
    """The modules that a Python text imports from outside the standard library and this project."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    own = {"imaharness", "bench", "tests"} | {d.name for d in (paths.HARNESS / "tests").glob("*") if d.is_dir()}
    own |= {f.stem for f in (paths.HARNESS / "tests").rglob("*.py")}
    return sorted(n for n in names if n not in sys.stdlib_module_names and n not in own)


def _python_complaints(file: Path) -> str:
    source = file.read_text()
    try:
        compile(source, str(file), "exec")
    except SyntaxError as e:
        return str(e)
    lines = [f"{file}:{where}: not annotated" for where in untyped(source)]
    lines += [f"{file}: imports {name}" for name in foreign_imports(source)]
    return "\n".join(lines)


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


def run() -> Suite:
    """All checks; a tool that is not here skips with its name."""
    suite = Suite("lint")
    files = tracked_files()
    for script in shell_scripts(files):
        name = f"shellcheck {script.relative_to(paths.ROOT)}"
        if shutil.which("shellcheck") is None:
            suite.add(name, Status.SKIP, "shellcheck is not installed")
        else:
            _add(suite, name, _complaints(["shellcheck", "-x", script]))
    for file in python_files(files):
        _add(suite, f"python {file.relative_to(paths.ROOT)}", _python_complaints(file))
    if sources := cpp_files(files):
        if reason := clang.unsuitable("clang-format"):
            suite.add("clang-format", Status.SKIP, reason)
        else:
            _add(suite, "clang-format", _complaints(["clang-format", "--dry-run", "-Werror", *sources]))
    for page in manual_pages(files):
        name = f"manual {page.relative_to(paths.ROOT)}"
        if shutil.which("mandoc") is None:
            suite.add(name, Status.SKIP, "mandoc is not installed")
        else:
            _add(suite, name, _complaints(["mandoc", "-T", "lint", "-W", "warning", page]))
    bare = without_licence(files)
    _add(suite, "licence lines", "\n".join(f"{f}: no SPDX line" for f in bare))
    return suite
