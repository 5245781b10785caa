# SPDX-License-Identifier: GPL-2.0-or-later
"""Start programs so that none outlives the harness, and run short ones to their end."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .errors import HarnessError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In a child, before it executes a program: be killed when the parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def guest_pool() -> ProcessPoolExecutor:
    """Processes that run guests, one for each CPU but at most four. They die with this one."""
    workers = max(1, min(4, len(os.sched_getaffinity(0))))
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), initializer=die_with_parent)


def start(
    argv: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    terminal: bool = False,
) -> subprocess.Popen[bytes]:
    """Start ARGV in the background, with its output in LOG; it dies with the harness.

    With TERMINAL the program keeps standard input and output.
    """
    with log.open("ab") as out:
        try:
            return subprocess.Popen(
                [os.fspath(a) for a in argv],
                stdin=None if terminal else subprocess.DEVNULL,
                stdout=None if terminal else out,
                stderr=out,
                pass_fds=pass_fds,
                env=None if env is None else {**os.environ, **env},
                preexec_fn=die_with_parent,
            )
        except FileNotFoundError as e:
            raise HarnessError(f"{argv[0]} is not installed; run 'make deps'") from e


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate PROCESS and wait for it; kill it if it does not end."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def output(argv: Sequence[str | os.PathLike[str]], *, cwd: Path | None = None) -> str:
    """Run ARGV and return its output. If it fails, HarnessError has its error output."""
    try:
        done = subprocess.run(
            [os.fspath(a) for a in argv],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as e:
        raise HarnessError(f"{argv[0]} is not installed; run 'make deps'") from e
    if done.returncode != 0:
        complaint = done.stderr.strip() or done.stdout.strip()
        raise HarnessError(f"{' '.join(map(str, argv))}: exit {done.returncode}: {complaint}")
    return done.stdout


def logged(
    argv: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    verbose: bool = False,
) -> None:
    """Run ARGV with its output in LOG (or on the terminal); show the end of LOG if it fails."""
    with log.open("ab") as out:
        sink = None if verbose else out
        try:
            done = subprocess.run(
                [os.fspath(a) for a in argv],
                cwd=cwd,
                env=None if env is None else {**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                check=False,
            )
        except FileNotFoundError as e:
            raise HarnessError(f"{argv[0]} is not installed; run 'make deps'") from e
    if done.returncode != 0:
        tail = "" if verbose else tail_of(log)
        raise HarnessError(f"{argv[0]} failed with {done.returncode}; {log} ends:\n{tail}")


def tail_of(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
