# SPDX-License-Identifier: GPL-2.0-or-later
"""'make hosts': run the commands of README.md in new chroots of several Debian releases.

Each host is a new chroot, build/hosts/<suite>/root, with a clone of the commit that is checked out.
It shares only build/downloads and a ccache with the other hosts. build/hosts/<suite>/<step>.log has
the output of a step, qemu-harness/results/hosts.{json,md} the results.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import chroot, paths, process
from .errors import HarnessError

HOSTS = paths.BUILD / "hosts"
CCACHE = HOSTS / "ccache"
RESULTS = paths.HARNESS / "results" / "hosts.json"
_USER = "builder"
# Of 'make check', and of qemu-harness/readme, which runs it more than once
_CLOSING_LINE = re.compile(r"^(?:\d+ passed, \d+ failed, \d+ skipped|\d+ commands of README\.md were run, \d+ failed)$", re.MULTILINE)
# The tools whose versions are worth comparing. Each command prints one in its first lines.
_TOOLS = {
    "gcc": "gcc --version",
    "clang": "clang --version",
    "python": "python3 --version",
    "cmake": "cmake --version",
    "qemu": "qemu-system-x86_64 --version",
    "evmctl": "evmctl --version",
    "systemd": "systemctl --version",
    "libfuse": "pkg-config --modversion fuse3",
    "toml++": "pkg-config --modversion tomlplusplus",
    "tpm2-tss": "pkg-config --modversion tss2-esys",
}


@dataclass(frozen=True)
class Step:
    """One command line in a host, by root or by an ordinary user."""

    name: str
    command: str
    user: str = "root"

    @property
    def tree(self) -> str:
        """The clone that it runs in."""
        return "/root/ima" if self.user == "root" else f"/home/{self.user}/ima"


_DEMO = Step("demo", "make demo")
_CHECK = Step("check", "make check")
# The other commands. A new user has sudo, and systemd for 'make install'; here none runs
# that could reload its units.
_README = Step("readme", "make deps && apt-get -q -y install sudo systemd && SYSTEMD_OFFLINE=1 qemu-harness/readme")
# On the development release, only the suites that matter to users of the programs and the kernel.
_CHECK_PROGRAMS = Step("check", "make check SUITES='lint userspace harness selftests e2e'")
# The steps before these have installed all packages. The suites that are left out only run
# compilers on files below build/.
_CHECK_AS_USER = Step("user-check", "make check SUITES='lint userspace package harness kunit selftests e2e'", _USER)
_AS_USER = (Step("user-demo", "make demo", _USER), _CHECK_AS_USER)
PLANS: Mapping[str, Sequence[Step]] = {
    "bookworm": (_DEMO, _CHECK, _README),
    "trixie": (_DEMO, _CHECK, _README, *_AS_USER),
    "sid": (_DEMO, _CHECK_PROGRAMS),
}


@dataclass
class Ended:
    """How a step ended."""

    command: str
    user: str
    status: int
    seconds: int
    last_line: str
    built_mb: int  # build/ after it, without downloads, in MB
    commit: str
    date: str


@dataclass
class Host:
    """The results of one host."""

    suite: str
    steps: dict[str, Ended] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.status == 0 for step in self.steps.values())

    def line(self) -> str:
        """A summary in one line."""
        steps = "; ".join(
            f"{name} {'ok' if e.status == 0 else f'FAILED ({e.status})'} in {e.seconds // 60} min {e.seconds % 60} s"
            + (f", {e.last_line}" if _CLOSING_LINE.match(e.last_line) else "")
            for name, e in self.steps.items()
        )
        return f"{self.suite}: {steps}"


def last_line(log: str) -> str:
    """The last counts of 'make check' or 'readme' if LOG has them, else its last line with text."""
    if counts := _CLOSING_LINE.findall(log):
        return str(counts[-1])
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def first_version(text: str) -> str:
    """The version in a tool's output."""
    found = re.search(r"\d+(?:\.\d+)*", re.sub(r"\(.*?\)", "", text))
    return found[0] if found else "unknown"


def _enter(root: Path, step: Step) -> list[str]:
    """The command line that runs STEP below ROOT; all that it starts and mounts ends with it."""
    tree = root / step.tree.lstrip("/")
    inside = [f"HOME={Path(step.tree).parent}", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    inside += ["LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "CCACHE_DIR=/ccache", "CCACHE_UMASK=000"]
    # So that the ordinary user's clone, which has another path, finds root's objects.
    inside += [f"CCACHE_BASEDIR={step.tree}", "CCACHE_NOHASHDIR=1"]
    script = "\n".join(
        [
            "set -e",
            # 'unshare --mount' inside the chroot needs / to be a mount point.
            f"mount --bind {shlex.quote(str(root))} {shlex.quote(str(root))}",
            f"mount -t proc proc {shlex.quote(str(root))}/proc",
            f"mount --rbind /dev {shlex.quote(str(root))}/dev",
            f"mount -t sysfs -o ro sysfs {shlex.quote(str(root))}/sys",
            f"mount --bind {shlex.quote(str(CCACHE))} {shlex.quote(str(root))}/ccache",
            f"mount --bind {shlex.quote(str(paths.DOWNLOADS))} {shlex.quote(str(tree))}/build/downloads",
            f"cd {shlex.quote(str(tree))}",
            f"exec chroot --userspec={step.user}:{step.user} {shlex.quote(str(root))}"
            f" env -i {shlex.join(inside)} bash -c {shlex.quote(f'cd {step.tree} && {step.command}')}",
        ]
    )
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script]


def _clone(root: Path, step: Step) -> None:
    tree = root / step.tree.lstrip("/")
    if tree.exists():
        return
    process.output(["git", "clone", "-q", "--no-hardlinks", paths.ROOT, tree])
    (tree / "build" / "downloads").mkdir(parents=True)
    if step.user != "root":
        process.output(["chroot", root, "chown", "-R", f"{step.user}:", step.tree])


def run_step(root: Path, step: Step, log: Path) -> Ended:
    """Run STEP in its user's clone; its output goes to LOG."""
    if step.user != "root" and not (root / "home" / step.user).exists():
        process.output(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", step.user])
    _clone(root, step)
    tree = root / step.tree.lstrip("/")
    # Of the clone: the commit that is checked out here may be another by now.
    commit = process.output(["git", "-c", f"safe.directory={tree}", "rev-parse", "--short=12", "HEAD"], cwd=tree).strip()
    began = time.monotonic()
    with log.open("wb") as out:
        done = subprocess.run(
            _enter(root, step),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
            preexec_fn=process.die_with_parent,  # unshare itself ignores SIGINT and SIGTERM
        )
    seconds = round(time.monotonic() - began)
    built = process.output(["du", "-sm", tree / "build"])  # downloads are unmounted now, so not counted
    ended = last_line(log.read_text(errors="replace"))
    date = time.strftime("%Y-%m-%d")
    return Ended(step.command, step.user, done.returncode, seconds, ended, int(built.split()[0]), commit, date)


def _tools(root: Path) -> dict[str, str]:
    found = {}
    for name, command in _TOOLS.items():
        done = subprocess.run(["chroot", root, *command.split()], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found[name] = first_version(done.stdout or done.stderr)
    return found


def make_root(suite: str) -> Path:
    """Make a chroot with only the release, git and make."""
    top = HOSTS / suite
    root = top / "root"
    if root.exists():
        shutil.rmtree(root)
    top.mkdir(parents=True, exist_ok=True)
    for shared in (CCACHE, paths.DOWNLOADS):
        shared.mkdir(parents=True, exist_ok=True)
    CCACHE.chmod(0o777)  # ordinary users write to it, too
    chroot.bootstrap(suite, "minbase", ["git", "make"], root, top / "bootstrap.log")
    (root / "ccache").mkdir()
    return root


def run_host(suite: str, steps: Sequence[Step], run: Callable[[Path, Step, Path], Ended] = run_step) -> Host:
    """Make the host SUITE and run STEPS in it; a failed step does not stop the next."""
    host = Host(suite)
    print(f"{suite}: installing a bare system, logs in {HOSTS / suite}", flush=True)
    root = make_root(suite)
    for step in steps:
        print(f"{suite}: {step.command}" + ("" if step.user == "root" else ", as an ordinary user"), flush=True)
        host.steps[step.name] = run(root, step, HOSTS / suite / f"{step.name}.log")
    host.tools = _tools(root)
    return host


def table(hosts: Mapping[str, Host]) -> str:
    """The results as Markdown."""
    lines = ["<!-- SPDX-License-Identifier: GPL-2.0-or-later -->", "# Last runs of `make hosts`", ""]
    lines += ["| host | when, commit | step | result | time | size of build/ | last line |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for host in hosts.values():
        for ended in host.steps.values():
            who = "" if ended.user == "root" else " as an ordinary user"
            result = "ok" if ended.status == 0 else f"exit {ended.status}"
            lines.append(
                f"| {host.suite} | {ended.date}, {ended.commit} | `{ended.command}`{who} | {result}"
                f" | {ended.seconds // 60}:{ended.seconds % 60:02} | {ended.built_mb} MB | {ended.last_line} |"
            )
    lines += ["", "Tools of each host:", ""]
    lines += [f"- {h.suite}: {', '.join(f'{k} {v}' for k, v in h.tools.items())}" for h in hosts.values()]
    return "\n".join(lines) + "\n"


def _load(file: Path) -> dict[str, Host]:
    if not file.exists():
        return {}
    hosts = {name: Host(**kept) for name, kept in json.loads(file.read_text()).items()}
    for host in hosts.values():
        host.steps = {name: Ended(**dict(step)) for name, step in host.steps.items()}  # type: ignore[call-overload]  # JSON's objects
    return hosts


def record(host: Host, file: Path = RESULTS) -> None:
    """Add HOST's results to FILE, replacing those of the same steps, and write the table beside it."""
    hosts = _load(file)
    if host.suite in hosts:
        host.steps = {**hosts[host.suite].steps, **host.steps}
    hosts[host.suite] = host
    hosts = {name: hosts[name] for name in PLANS if name in hosts}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({name: asdict(h) for name, h in hosts.items()}, indent=1) + "\n")
    file.with_suffix(".md").write_text(table(hosts))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hosts", description="Run the commands of README.md in chroots of Debian releases.")
    parser.add_argument("hosts", nargs="*", metavar="HOST", default=list(PLANS), help=f"{', '.join(PLANS)}; default: all")
    parser.add_argument("--steps", metavar="STEP,...", help="run only these: demo, check, readme, user-demo, user-check")
    args = parser.parse_args(argv)
    if unknown := [h for h in args.hosts if h not in PLANS]:
        parser.error(f"unknown host {', '.join(unknown)}; choose from {', '.join(PLANS)}")
    only = args.steps.split(",") if args.steps else None
    if unknown := [s for s in only or () if s not in {step.name for plan in PLANS.values() for step in plan}]:
        parser.error(f"unknown step {', '.join(unknown)}")
    if reason := chroot.missing():
        print(f"hosts: {reason}", file=sys.stderr)
        return 1
    failed = False
    for suite in args.hosts:
        try:
            host = run_host(suite, [s for s in PLANS[suite] if only is None or s.name in only])
        except HarnessError as e:
            print(f"hosts: {suite}: {e}", file=sys.stderr)
            failed = True
            continue
        record(host)
        print(host.line(), flush=True)
        failed = failed or not host.ok
    return 1 if failed else 0
