# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of qemu-harness/vm."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import accel, dryrun, given, image, kernel, source, tpm
from .bases import BASES, DEFAULT_BASE, find_base
from .errors import EXIT_HARNESS, EXIT_TIMEOUT, HarnessError
from .guest import GuestSpec, Outcome, Sink, run_guest

_EXIT_STATUS = f"""
exit status of 'run':
  the command's own; {EXIT_TIMEOUT} after a time-out; {EXIT_HARNESS} if the harness failed, the
  guest ended without reporting a status, or the kernel reported trouble on its
  console (panic, oops, BUG, WARNING, lockdep, KASAN, kmemleak ...), even if the
  command succeeded.

environment (options override it):
  ARCH, BASE, KSRC, KERNEL (replaces the flavour 'patched'), ACCEL, TPM, TPM_IF, BANKS, V
"""

_EXAMPLES = """
examples:
  vm run -- head -3 /sys/kernel/security/ima/ascii_runtime_measurements
  vm run --stock --tpm none -- sh -c 'exit 3'
  vm run --banks sha1,sha256 --copy ./prog --out /tmp/o -- sh -c 'prog > /out/log'
  vm run --kernel ~/linux/arch/x86/boot/bzImage -- uname -a
  ACCEL=kvm vm run --dry-run -- true
  vm shell
"""


def _banks(text: str) -> list[str]:
    return [b for b in text.split(",") if b]


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _add_kernel_options(p: argparse.ArgumentParser) -> None:
    env = os.environ
    group = p.add_argument_group("kernel")
    group.add_argument("--base", default=env.get("BASE") or DEFAULT_BASE, help=f"one of {', '.join(BASES)}")
    group.add_argument(
        "--flavour",
        default="patched",
        help="; ".join(f"{f.name}: {f.purpose}" for f in kernel.FLAVOURS.values()),
    )
    group.add_argument("--stock", action="store_true", help="short for --flavour stock")
    group.add_argument("--debug", action="store_true", help="short for --flavour debug, or stock-debug with --stock")
    group.add_argument("--ksrc", default=env.get("KSRC") or None, type=Path, metavar="TREE",
                       help="a kernel git tree: its HEAD is the base, and 'git am --3way' fits the series to it;"
                       " the tree itself is not changed")  # fmt: skip


def _add_guest_options(p: argparse.ArgumentParser) -> None:
    env = os.environ
    group = p.add_argument_group("guest")
    group.add_argument("--kernel", type=Path, metavar="BZIMAGE", help="boot this image and build no kernel")
    group.add_argument("--append", action="append", default=[], metavar="TEXT", help="add to the kernel's command line")
    group.add_argument("--memory", type=int, default=1024, metavar="MIB")
    group.add_argument("--smp", type=int, default=2, metavar="N")
    group.add_argument("--accel", choices=accel.CHOICES, default=env.get("ACCEL") or "auto")
    group.add_argument("--copy", type=image.parse_copy, action="append", default=[], metavar="FILE[:DEST]",
                       help="copy a file (a program with its libraries) or a directory into the guest")  # fmt: skip
    group.add_argument("--env", type=_assignment, action="append", default=[], metavar="NAME=VALUE",
                       help="set in the command's environment")  # fmt: skip
    group.add_argument("--policy", type=Path, metavar="FILE", help="load this IMA policy before the command")
    group.add_argument("--disk", metavar="SIZE|FILE[:SIZE]", help="an ext4 disk at /disk; a named file is kept")
    group.add_argument("--kexec", action="store_true", help="put the guest's own bzImage and initrd into /boot")
    group.add_argument("--out", type=Path, metavar="DIR", help="the host directory for what the command writes to /out")
    group.add_argument("--timeout", type=float, default=300.0, metavar="S")
    group.add_argument("--kill-on", metavar="TEXT", help="cut the guest's power when the command prints TEXT (exit 0)")
    group.add_argument("--name", default="run", help="part of the name of the results directory")
    group = p.add_argument_group("TPM")
    group.add_argument("--tpm", choices=tpm.VERSIONS, default=env.get("TPM") or "2.0")
    group.add_argument("--tpm-if", choices=tpm.INTERFACES, default=env.get("TPM_IF") or "tis")
    group.add_argument("--banks", type=_banks, default=_banks(env.get("BANKS") or "sha256"), metavar="ALG,...",
                       help=f"active PCR banks, one or more of {', '.join(tpm.BANKS)}")  # fmt: skip
    group.add_argument("--tpm-state", type=Path, metavar="DIR", help="keep the TPM's state here between runs")
    group.add_argument("--swtpm-preload", type=Path, metavar="LIB", help="LD_PRELOAD this into swtpm")
    group.add_argument("--swtpm-env", type=_assignment, action="append", default=[], metavar="NAME=VALUE")


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="vm", description="Boot a guest with a software TPM and run a command in it.",
                                  epilog=_EXAMPLES, formatter_class=raw)  # fmt: skip
    verbs = top.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run a command in a guest and exit with its status",
                           epilog=_EXIT_STATUS, formatter_class=raw)  # fmt: skip
    _add_kernel_options(run)
    _add_guest_options(run)
    run.add_argument("--quiet", action="store_true", help="only the command's own output")
    run.add_argument("--dry-run", action="store_true",
                     help="print the swtpm and QEMU command lines, one per line; build and start nothing")  # fmt: skip
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    shell = verbs.add_parser("shell", help="an interactive shell in the guest; 'exit' ends it")
    _add_kernel_options(shell)
    _add_guest_options(shell)
    build = verbs.add_parser("kernel", help="build a kernel and print the path of its image")
    _add_kernel_options(build)
    tree = verbs.add_parser("source", help="unpack the source of a base and print its path")
    _add_kernel_options(tree)
    fitted = verbs.add_parser("patches", help="print the paths of the patches; with KSRC, those fitted to that tree")
    _add_kernel_options(fitted)
    return top


def _flavour(args: argparse.Namespace) -> str:
    if args.debug:
        return "stock-debug" if args.stock else "debug"
    return "stock" if args.stock else str(args.flavour)


def _given_image(args: argparse.Namespace) -> Path | None:
    """--kernel, else KERNEL if the flavour is 'patched', which it replaces."""
    if args.kernel is not None:
        return Path(args.kernel)
    return given.image() if _flavour(args) == "patched" else None


def spec_from(args: argparse.Namespace) -> GuestSpec:
    """The guest that the parsed options ask for."""
    command = list(getattr(args, "command", []) or [])
    if command[:1] == ["--"]:
        command = command[1:]
    return GuestSpec(
        command=command,
        base=args.base,
        flavour=_flavour(args),
        kernel=_given_image(args),
        ksrc=args.ksrc,
        tpm=tpm.TpmSpec(
            version=args.tpm,
            interface=args.tpm_if,
            banks=args.banks,
            state=args.tpm_state,
            preload=args.swtpm_preload,
            env=dict(args.swtpm_env),
        ),
        append=args.append,
        memory_mib=args.memory,
        smp=args.smp,
        accel=args.accel,
        timeout=args.timeout,
        copies=args.copy,
        env=dict(args.env),
        policy=args.policy,
        out=args.out,
        disk=args.disk,
        kexec=args.kexec,
        kill_on=args.kill_on,
        name=args.name,
    )


def _run(args: argparse.Namespace) -> int:
    if args.dry_run:
        print("\n".join(dryrun.command_lines(spec_from(args))))
        return 0
    result = run_guest(spec_from(args), _writer(1), _writer(2))
    if result.outcome is not Outcome.EXITED:
        print(f"vm: {result.explain()}", file=sys.stderr)
    elif not args.quiet:
        print(f"vm: exit {result.status} after {result.seconds:.1f} s; {result.directory}", file=sys.stderr)
    return result.exit_status


def _writer(stream: int) -> Sink:
    def write(data: bytes) -> None:
        while data:
            data = data[os.write(stream, data):]

    return write


def _shell(args: argparse.Namespace) -> int:
    spec = spec_from(args)
    spec.command = ["sh", "-l"]
    spec.terminal = True
    spec.timeout = max(spec.timeout, 24 * 3600.0)
    result = run_guest(spec)
    if result.outcome is not Outcome.EXITED:
        print(f"vm: {result.explain()}", file=sys.stderr)
    return result.exit_status


def _kernel(args: argparse.Namespace) -> int:
    verbose = os.environ.get("V") == "1"
    if _flavour(args) == "patched" and (file := given.image()) is not None:
        print(file)
        return 0
    print(kernel.build(find_base(args.base), kernel.find_flavour(_flavour(args)), args.ksrc, verbose))
    return 0


def _source(args: argparse.Namespace) -> int:
    base = find_base(args.base)
    print(source.plain_tree(base, source.find(base, args.ksrc)))
    return 0


def _patches(args: argparse.Namespace) -> int:
    base = find_base(args.base)
    for patch in source.fitted(base, source.find(base, args.ksrc)):
        print(patch)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    try:
        args = parser().parse_args(argv)
        verbs = {"run": _run, "shell": _shell, "kernel": _kernel, "source": _source, "patches": _patches}
        return verbs[args.verb](args)
    except HarnessError as e:
        print(f"vm: {e}", file=sys.stderr)
        return EXIT_HARNESS
    except KeyboardInterrupt:
        print("vm: interrupted", file=sys.stderr)
        return 130
