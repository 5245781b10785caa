# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the user's kernel git tree and fit the series to it.

Nothing is written to that tree or to its repository. The harness works in a
temporary repository with its own index, branches, configuration and hooks. That
repository reads the user's objects through .git/objects/info/alternates.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import HarnessError

IMA = "security/integrity/ima"
_COMMITTER = {"NAME": "IMA Log Snapshot", "EMAIL": "ima-log-snapshot@example.org"}
_NULL_ID = re.compile(r"0+")


@dataclass(frozen=True)
class KernelTree:
    """A commit of a git repository, with all that is needed to read it."""

    path: Path  # as the user gave it, absolute
    commit: str
    objects: Path
    object_format: str

    @property
    def description(self) -> str:
        return f"{self.path} at {self.commit[:12]}"


@dataclass(frozen=True)
class Hunk:
    """One change of a patch: a file, the hunk's number in it, and its text."""

    file: str
    number: int
    header: str
    start: int  # in the file before the patch, from 1
    lines: tuple[str, ...]

    @property
    def old(self) -> list[str]:
        return [line[1:] for line in self.lines if line[0] in " -"]

    @property
    def new(self) -> list[str]:
        return [line[1:] for line in self.lines if line[0] in " +"]

    def __str__(self) -> str:
        return f"{self.file}: hunk {self.number} ({self.header})"


def _clean_environment() -> dict[str, str]:
    """The environment without git's variables: 'make check' may run in a git hook."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def _git(
    directory: Path, *arguments: str | Path, env: Mapping[str, str], stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", directory, *arguments],
            env=env,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as e:
        raise HarnessError("git is not installed; run 'make deps'") from e


def open_tree(path: Path) -> KernelTree:
    """The commit that PATH has checked out; HarnessError if that is not a Linux source tree."""
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise HarnessError(f"KSRC={path}: no such directory")
    env = _clean_environment()

    def ask(*arguments: str) -> str | None:
        done = _git(path, *arguments, env=env)
        return done.stdout.strip() if done.returncode == 0 else None

    found = _git(path, "rev-parse", "--path-format=absolute", "--git-path", "objects", env=env)
    if found.returncode != 0:
        raise HarnessError(f"KSRC={path} is not a git tree: {found.stderr.strip()}")
    commit = ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if commit is None:
        raise HarnessError(f"KSRC={path} has no commit checked out")
    if not ask("ls-tree", "--full-tree", commit, f"{IMA}/"):
        raise HarnessError(f"KSRC={path} is not a Linux source tree: its HEAD has no {IMA}")
    object_format = ask("rev-parse", "--show-object-format") or "sha1"
    return KernelTree(path, commit, Path(found.stdout.strip()), object_format)


def has_changes(tree: KernelTree) -> bool:
    """Whether tracked files differ from HEAD; always False for a bare repository."""
    status = ["-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no"]
    done = _git(tree.path, *status, env=_clean_environment())
    return done.returncode == 0 and bool(done.stdout)


class _Repository:
    """A repository in DIRECTORY with TREE's objects, without user or system configuration."""

    def __init__(self, tree: KernelTree, directory: Path) -> None:
        self.tree = tree
        self.directory = directory
        nowhere = directory / ".git"  # holds no file that git reads from a home directory
        self._env = {**_clean_environment(), "HOME": str(nowhere), "XDG_CONFIG_HOME": str(nowhere / "none")}
        self._env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}
        self._env |= {f"GIT_COMMITTER_{k}": v for k, v in _COMMITTER.items()}
        self._env |= {f"GIT_AUTHOR_{k}": v for k, v in _COMMITTER.items()}
        self.run("init", "-q", "--template=", f"--object-format={tree.object_format}", ".")
        (nowhere / "objects/info/alternates").write_text(f"{_quoted(tree.objects)}\n")
        self.run("config", "maintenance.auto", "false")
        self.run("config", "core.abbrev", "12")

    def attempt(
        self, *arguments: str | Path, stdin: str | None = None, index: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        env = self._env if index is None else {**self._env, "GIT_INDEX_FILE": str(index)}
        return _git(self.directory, *arguments, env=env, stdin=stdin)

    def run(self, *arguments: str | Path, stdin: str | None = None, index: Path | None = None) -> str:
        done = self.attempt(*arguments, stdin=stdin, index=index)
        if done.returncode != 0:
            complaint = done.stderr.strip() or done.stdout.strip()
            if lost := re.search(r"unable to read (?:sha1 file of (\S+)|\S+)|missing (?:blob|tree)", complaint):
                raise HarnessError(
                    f"KSRC={self.tree.path} lacks objects of its HEAD ({lost.group(0)}): in a partial"
                    " clone, fetch the rest with 'git fetch --refetch --no-filter'"
                )
            raise HarnessError(f"git {arguments[0]}: exit {done.returncode}: {complaint}")
        return done.stdout


def _quoted(path: Path) -> str:
    """PATH quoted as in C, for info/alternates."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def _repository(tree: KernelTree, near: Path) -> Iterator[_Repository]:
    near.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="git-", dir=near) as directory:
        yield _Repository(tree, Path(directory))


def export(tree: KernelTree, into: Path) -> None:
    """Write the files of the commit to INTO, which must be empty."""
    with _repository(tree, into.parent) as repository:
        repository.run("read-tree", tree.commit)
        repository.run("checkout-index", "--all", "--quiet", f"--prefix={into}/")


def hunks(patch_text: str) -> list[Hunk]:
    """The hunks of a patch in order, each with the file's old name, or its new one if it is a new file."""
    found: list[Hunk] = []
    file, number = "", 0
    lines = patch_text.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if name := re.match(r"(?:---|\+\+\+) [ab]/(.*)\n", line):
            file, number = (name.group(1), 0) if line[0] == "-" or not file else (file, number)
        elif line.startswith("diff --git "):
            file = ""
        elif header := re.match(r"(@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@)", line):
            old, new = (int(header.group(n) or 1) for n in (3, 4))
            begin, number = at, number + 1
            while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith("\\")):
                old -= lines[at][0] in " -"
                new -= lines[at][0] in " +"
                at += 1
            body = tuple(text for text in lines[begin:at] if not text.startswith("\\"))
            # A hunk that only adds names the line before it.
            start = int(header.group(2)) + ((header.group(3) or "1") == "0")
            found.append(Hunk(file, number, line.strip(), start, body))
    return found


def old_blobs(patch_text: str) -> dict[str, tuple[str, str]]:
    """For each file that the patch changes, the abbreviated id of its old blob and its mode. New files are left out."""
    found: dict[str, tuple[str, str]] = {}
    mode = "100644"
    file = ""
    for line in patch_text.splitlines():
        if start := re.match(r"diff --git a/(.*) b/\1$", line):
            file = start.group(1)
            mode = "100644"
        elif old_mode := re.match(r"(?:old|deleted file) mode (\d+)$", line):
            mode = old_mode.group(1)
        elif ids := re.match(r"index ([0-9a-f]+)\.\.[0-9a-f]+(?: (\d+))?$", line):
            if file and not _NULL_ID.fullmatch(ids.group(1)):
                found[file] = (ids.group(1), ids.group(2) or mode)
    return found


def _seed(repository: _Repository, patches: Sequence[Path], touched: set[str]) -> set[str]:
    """Add each version of a file that a patch was made on to the repository.

    A 3-way merge needs the file as it was before the patch. The user's repository
    has that only for the first patch of a file. Returns the files whose first
    version is missing there.
    """
    first: dict[str, tuple[str, str]] = {}
    for patch in patches:
        for name, blob in old_blobs(patch.read_text()).items():
            first.setdefault(name, blob)
    made: set[str] = set()
    for patch in patches:
        made.update(re.findall(r"^--- /dev/null\n\+\+\+ b/(.*)$", patch.read_text(), re.MULTILINE))
    wanted = {n: b for n, b in first.items() if n not in made}
    asked = "".join(f"{blob}\n" for blob, _ in wanted.values())
    answers = repository.run("cat-file", "--batch-check", stdin=asked).splitlines()
    index = repository.directory / ".git/seed-index"
    lacking = set()
    for (name, (_, mode)), answer in zip(wanted.items(), answers, strict=True):
        object_id, kind = answer.split()[:2]
        if kind == "blob":
            repository.run("update-index", "--add", "--cacheinfo", f"{mode},{object_id},{name}", index=index)
        else:
            lacking.add(name)
    included = [f"--include={name}" for name in sorted(touched - lacking)]
    for patch in patches:
        repository.attempt("apply", "--cached", *included, patch, index=index)
    return lacking


def _conflicting(repository: _Repository, file: str, stages: Mapping[int, str], patch: Sequence[Hunk]) -> list[Hunk]:
    """The hunks that cannot be merged into FILE, each tried alone."""
    with tempfile.TemporaryDirectory(prefix="merge-") as scratch:
        names = {stage: Path(scratch) / str(stage) for stage in (1, 2, 3)}
        for stage in (1, 2):
            names[stage].write_text(repository.run("cat-file", "blob", stages[stage]))
        old = names[1].read_text().splitlines(keepends=True)
        found = []
        for hunk in patch:
            if hunk.file != file:
                continue
            before = hunk.start - 1
            new = [*old[:before], *hunk.new, *old[before + len(hunk.old):]]
            names[3].write_text("".join(new))
            if repository.attempt("merge-file", "-p", names[2], names[1], names[3]).returncode != 0:
                found.append(hunk)
        return found


def _complaint(repository: _Repository, patch: Path, lacking: set[str], said: str) -> str:
    """Why PATCH does not apply, with each file and hunk."""
    all_hunks = hunks(patch.read_text())
    unmerged: dict[str, dict[int, str]] = {}
    for line in repository.run("ls-files", "--unmerged", "-z").split("\0"):
        if entry := re.fullmatch(r"\d+ (\S+) (\d)\t(.*)", line):
            unmerged.setdefault(entry.group(3), {})[int(entry.group(2))] = entry.group(1)
    lines: list[str] = []
    for file, stages in unmerged.items():
        found = _conflicting(repository, file, stages, all_hunks) if {1, 2} <= stages.keys() else []
        lines += [f"{hunk} conflicts" for hunk in found]
        if not found:
            reason = "the tree has no such file" if 2 not in stages else "both sides changed it"
            lines.append(f"{file}: {reason}")
    if not unmerged:
        checked = repository.attempt("apply", "--check", "--cached", patch).stderr
        for file, start in re.findall(r"^error: patch failed: (.*):(\d+)$", checked, re.MULTILINE):
            at = [h for h in all_hunks if h.file == file and h.start - (not h.old) == int(start)]
            lines += [f"{hunk} does not apply" for hunk in at] or [f"{file}: line {start}"]
        failed = {h.split(":")[0] for h in lines}
        missing = re.findall(r"^error: (.*): does not exist in index$", checked, re.MULTILINE)
        lines += [f"{file}: the tree has no such file" for file in missing]
        if absent := sorted(failed & lacking):
            lines.append(
                f"no 3-way merge of {', '.join(absent)}: the repository lacks the version that the"
                " patch was made on; fetch the history of the base ('git fetch --unshallow', or its tag)"
            )
    return "\n  ".join(lines or said.strip().splitlines()[-5:])


def fit(tree: KernelTree, patches: Sequence[Path], touched: set[str], into: Path) -> list[str]:
    """Apply PATCHES to the commit by 'git am --3way', and write the fitted patches to INTO.

    Returns the names of patches that the commit already has. HarnessError names
    the patch, the files and the hunks that conflict.
    """
    with _repository(tree, into.parent) as repository:
        lacking = _seed(repository, patches, touched)
        # Check out only the files of the series. A commit without parents works in
        # a shallow clone, too.
        top = repository.run("rev-parse", f"{tree.commit}^{{tree}}").strip()
        commit = repository.run("commit-tree", "-m", "The tree without the series", top).strip()
        repository.run("config", "core.sparseCheckout", "true")
        info = repository.directory / ".git/info"
        info.mkdir(exist_ok=True)
        (info / "sparse-checkout").write_text("".join(f"/{name}\n" for name in sorted(touched)))
        repository.run("update-ref", "HEAD", commit)
        repository.run("read-tree", "-m", "-u", "HEAD")
        dropped = []
        for patch in patches:
            done = repository.attempt("am", "--3way", "--committer-date-is-author-date", patch.absolute())
            if done.returncode != 0:
                why = _complaint(repository, patch, lacking, done.stdout + done.stderr)
                raise HarnessError(f"{patch.name} does not apply to {tree.description}:\n  {why}")
            now = repository.run("rev-parse", "HEAD").strip()
            if now == commit:
                dropped.append(patch.name)
                continue
            commit = now
            options = ("--zero-commit", "--no-signature", "--no-renames", f"--output={into / patch.name}")
            repository.run("format-patch", "-1", *options, "HEAD")
        return dropped
