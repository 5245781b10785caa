# SPDX-License-Identifier: GPL-2.0-or-later
"""The shim that is preloaded into swtpm, and the parser of its log."""

from __future__ import annotations

import subprocess
import unittest
from pathlib import Path

import support
from imaharness import shimlog
from imaharness.shimlog import PCR_EXTEND, PCR_READ, Command, LogError, between_marks, parse, snapshots

_AGGREGATE = bytes(range(20))
_OTHER = bytes(range(20, 40))


def read(*pcrs: int, start: int = 0) -> Command:
    return Command(start, start + 1, PCR_READ, 0, {4: frozenset(pcrs)})


def extend(digest: bytes, start: int = 0) -> Command:
    return Command(start, start + 1, PCR_EXTEND, 0, pcr=10, algorithm="sha1", digest=digest)


def mark(number: int) -> Command:
    return Command(0, 1, shimlog.GET_RANDOM, 0, mark=number)


class ShimLog(unittest.TestCase):
    def test_a_read_has_the_pcrs_of_each_bank(self) -> None:
        (command,) = parse(["100 250 17e 0 select=4:400 select=b:c00003\n"])
        self.assertEqual((command.start, command.end, command.code, command.response), (100, 250, PCR_READ, 0))
        self.assertEqual(command.selection, {4: {10}, 0xB: {0, 1, 22, 23}})
        self.assertEqual(command.pcrs, {0, 1, 10, 22, 23})

    def test_an_extend_has_its_pcr_and_first_digest(self) -> None:
        (command,) = parse([f"1 2 182 0 pcr=10 digest=4:{_OTHER.hex()}"])
        self.assertEqual((command.pcr, command.algorithm, command.digest), (10, "sha1", _OTHER))

    def test_a_mark_is_the_number_of_random_bytes(self) -> None:
        self.assertEqual(parse(["1 2 17b 0 bytes=1000"])[0].mark, 1000)

    def test_other_commands_have_no_details(self) -> None:
        (command,) = parse(["1 2 144 101"])
        self.assertEqual((command.code, command.response, command.pcrs), (0x144, 0x101, frozenset()))

    def test_a_line_of_another_form_is_named(self) -> None:
        good = "1 2 17e 0"
        for bad in ("", "1 2 17e", "x 2 17e 0", "2 1 17e 0", "1 2 17e 0 what", "1 2 17e 0 what=1",
                    "1 2 182 0 pcr=x", "1 2 182 0 pcr=10 digest=4:0", "1 2 17e 0 select=4:"):  # fmt: skip
            with self.subTest(bad), self.assertRaisesRegex(LogError, "^line 2: "):
                parse([good, bad])

    def test_between_marks_leaves_the_marks_out(self) -> None:
        log = [read(1), mark(1), read(10), extend(_OTHER), mark(1), mark(2), mark(2)]
        self.assertEqual(between_marks(log, 1), log[2:4])
        self.assertEqual(between_marks(log, 2), [])

    def test_a_mark_that_is_missing_or_one_too_many_is_an_error(self) -> None:
        logs: list[list[Command]] = [[mark(1)], [], [mark(1)] * 3]
        for log in logs:
            with self.subTest(len(log)), self.assertRaises(LogError):
                between_marks(log, 1)


class Series(unittest.TestCase):
    AGGREGATES = frozenset({_AGGREGATE})

    def test_others_extend_between_the_early_reads_only(self) -> None:
        log = [extend(_OTHER), read(0, 1), extend(_OTHER), read(2), read(10, start=100), extend(_AGGREGATE, start=130),
               extend(_OTHER)]  # fmt: skip
        (series,) = snapshots(log, self.AGGREGATES)
        self.assertEqual((series.early_reads, series.ima_reads), (2, 1))
        self.assertEqual((series.foreign_early, series.foreign_late), (1, 0))
        self.assertEqual(series.hold, 31)

    def test_an_extend_between_the_last_read_and_the_aggregate_is_seen(self) -> None:
        log = [read(0), read(10), extend(_OTHER), extend(_AGGREGATE)]
        (series,) = snapshots(log, self.AGGREGATES)
        self.assertEqual(series.foreign_late, 1)

    def test_two_reads_under_the_mutex_are_seen(self) -> None:
        for late in (read(10), read(10, 11), read(11)):
            with self.subTest(late.pcrs):
                (series,) = snapshots([read(0), read(10), late, extend(_AGGREGATE)], self.AGGREGATES)
                self.assertEqual(series.ima_reads + series.foreign_late, 2)

    def test_each_snapshot_starts_anew(self) -> None:
        log = [read(0), read(10), extend(_AGGREGATE), extend(_OTHER), read(1), read(2), read(10), extend(_AGGREGATE)]
        found = list(snapshots(log, self.AGGREGATES))
        self.assertEqual([s.early_reads for s in found], [1, 2])
        self.assertEqual([s.foreign_early for s in found], [0, 0])

    def test_the_tpm_is_busy_with_all_commands_from_the_read_to_the_extend(self) -> None:
        log = [read(0), read(10, start=100), extend(_OTHER, start=110), extend(_AGGREGATE, start=130)] * 2
        self.assertEqual([(s.hold, s.busy) for s in snapshots(log, self.AGGREGATES)], [(31, 3), (31, 3)])

    def test_a_snapshot_that_recorded_nothing_is_left_out(self) -> None:
        self.assertEqual(list(snapshots([read(0), read(10)], self.AGGREGATES)), [])


class Shim(support.TemporaryDirectory):
    """The shim with a library that answers like libtpms."""

    LIBRARY = """
        #include <stdint.h>
        uint32_t TPMLIB_Process(unsigned char **response, uint32_t *size, uint32_t *room,
                                unsigned char *command, uint32_t command_size)
        {
            static unsigned char answer[] = {0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1};
            *response = answer; *size = sizeof(answer); *room = sizeof(answer);
            command[9] = 0; (void)command_size;
            return 0;
        }
        """
    CALLER = """
        #include <stdint.h>
        #include <stdio.h>
        uint32_t TPMLIB_Process(unsigned char **, uint32_t *, uint32_t *, unsigned char *, uint32_t);
        int main(int argc, char **argv)
        {
            (void)argc;
            for (char **text = argv + 1; *text; text++) {
                unsigned char command[512], *response = 0;
                uint32_t size = 0, response_size = 0, room = 0;
                unsigned int octet;
                int n;
                for (const char *c = *text; sscanf(c, "%2x%n", &octet, &n) == 1; c += n)
                    command[size++] = octet;
                if (TPMLIB_Process(&response, &response_size, &room, command, size))
                    return 1;
            }
            return 0;
        }
        """

    def setUp(self) -> None:
        super().setUp()
        self.log = self.tmp / "log"
        self.shim = shimlog.build_shim()
        self.library = self._compile("libtpms.so", self.LIBRARY, "-shared", "-fPIC")
        self.caller = self._compile("caller", self.CALLER, str(self.library), f"-Wl,-rpath,{self.tmp}")

    def _compile(self, name: str, source: str, *options: str) -> Path:
        file = self.tmp / f"{name}.c"
        file.write_text(source)
        subprocess.run(["gcc", file, *options, "-o", self.tmp / name], check=True)
        return self.tmp / name

    def run_commands(self, *commands: bytes, delay: str = "0", hang: str = "0") -> subprocess.CompletedProcess[str]:
        env = {"LD_PRELOAD": str(self.shim), "IMA_SHIM_LOG": str(self.log), "IMA_SHIM_DELAY_MS": delay,
               "IMA_SHIM_HANG_MS": hang}  # fmt: skip
        argv = [str(self.caller), *(c.hex() for c in commands)]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    def logged(self, *commands: bytes, delay: str = "0", hang: str = "0") -> list[Command]:
        done = self.run_commands(*commands, delay=delay, hang=hang)
        self.assertEqual(done.returncode, 0, done.stderr)
        return parse(self.log.read_text().splitlines())

    READ = bytes.fromhex("8001 00000014 0000017e 00000002 0004 03 000400 000b 03 ff0080")
    EXTEND = bytes.fromhex(
        "8002 00000000 00000182 0000000a 00000009 40000009 0000 00 0000 00000001 0004"
    ) + _AGGREGATE  # fmt: skip

    def test_the_details_of_reads_extends_and_marks_are_logged(self) -> None:
        read_, extend_, mark_ = self.logged(self.READ, self.EXTEND, bytes.fromhex("8001 0000000c 0000017b 03e8"))
        self.assertEqual(read_.selection, {4: {10}, 0xB: {0, 1, 2, 3, 4, 5, 6, 7, 23}})
        self.assertEqual((extend_.pcr, extend_.algorithm, extend_.digest), (10, "sha1", _AGGREGATE))
        self.assertEqual(mark_.mark, 1000)
        self.assertEqual({c.response for c in (read_, extend_, mark_)}, {0x101})

    def test_a_command_cut_short_anywhere_does_no_harm(self) -> None:
        cut = [whole[:n] for whole in (self.READ, self.EXTEND) for n in range(1, len(whole))]
        self.assertEqual(len(self.logged(*cut)), len(cut))

    def test_lengths_that_lie_do_no_harm(self) -> None:
        huge = bytes.fromhex("ffffffff")
        self.assertEqual(len(self.logged(self.READ[:10] + huge + self.READ[14:], self.EXTEND[:14] + huge)), 2)

    def test_a_delay_is_part_of_a_command(self) -> None:
        (command,) = self.logged(self.READ, delay="30")
        self.assertGreaterEqual(command.end - command.start, 30_000_000)

    def test_only_the_first_read_of_pcr_10_hangs(self) -> None:
        lengths = [c.end - c.start for c in self.logged(self.EXTEND, self.READ, self.READ, hang="300")]
        self.assertGreaterEqual(lengths[1], 300_000_000)
        self.assertEqual(max(lengths), lengths[1])

    def test_a_delay_that_is_no_number_is_refused(self) -> None:
        for delay in ("", "x", "-1", "1s"):
            with self.subTest(delay):
                done = self.run_commands(self.READ, delay=delay)
                self.assertEqual(done.returncode, 1)
                self.assertIn("IMA_SHIM_DELAY_MS", done.stderr)
