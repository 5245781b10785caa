# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark: its arithmetic, the shim's log, the list that it replays, its tables."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import unittest
from pathlib import Path

import support
from bench import guests, shimlog
from bench.figures import Span, latency, rounds, share_given_back
from bench.measurements import Record, records
from bench.shimlog import PCR_EXTEND, PCR_READ, Command, LogError, between_marks, parse, snapshots
from bench.tables import Outcome, Table, Target, closing_table

_AGGREGATE = bytes(range(20))
_OTHER = bytes(range(20, 40))


def read(*pcrs: int, start: int = 0) -> Command:
    return Command(start, start + 1, PCR_READ, 0, {4: frozenset(pcrs)})


def extend(digest: bytes, start: int = 0) -> Command:
    return Command(start, start + 1, PCR_EXTEND, 0, pcr=10, algorithm="sha1", digest=digest)


def mark(number: int) -> Command:
    return Command(0, 1, shimlog.GET_RANDOM, 0, mark=number)


class ShimLog(unittest.TestCase):
    def test_a_read_tells_the_pcrs_of_each_bank(self) -> None:
        (command,) = parse(["100 250 17e 0 select=4:400 select=b:c00003\n"])
        self.assertEqual((command.start, command.end, command.code, command.response), (100, 250, PCR_READ, 0))
        self.assertEqual(command.selection, {4: {10}, 0xB: {0, 1, 22, 23}})
        self.assertEqual(command.pcrs, {0, 1, 10, 22, 23})

    def test_an_extend_tells_its_pcr_and_first_digest(self) -> None:
        (command,) = parse([f"1 2 182 0 pcr=10 digest=4:{_OTHER.hex()}"])
        self.assertEqual((command.pcr, command.algorithm, command.digest), (10, "sha1", _OTHER))

    def test_a_mark_is_the_number_of_random_bytes(self) -> None:
        self.assertEqual(parse(["1 2 17b 0 bytes=1000"])[0].mark, 1000)

    def test_other_commands_have_no_details(self) -> None:
        (command,) = parse(["1 2 144 101"])
        self.assertEqual((command.code, command.response, command.pcrs), (0x144, 0x101, frozenset()))

    def test_a_line_that_is_none_is_named(self) -> None:
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
        for log in ([mark(1)], [], [mark(1)] * 3):
            with self.subTest(len(log)), self.assertRaises(LogError):
                between_marks(log, 1)


class Series(unittest.TestCase):
    AGGREGATES = {_AGGREGATE: "snapshot_aggregate"}

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

    def test_a_snapshot_that_recorded_nothing_is_none(self) -> None:
        self.assertEqual(list(snapshots([read(0), read(10)], self.AGGREGATES)), [])


class Shim(support.TemporaryDirectory):
    """The shim in front of a library that answers like libtpms."""

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
        self.shim = guests.build_shim()
        self.library = self._compile("libtpms.so", self.LIBRARY, "-shared", "-fPIC")
        self.caller = self._compile("caller", self.CALLER, str(self.library), f"-Wl,-rpath,{self.tmp}")

    def _compile(self, name: str, source: str, *options: str) -> Path:
        file = self.tmp / f"{name}.c"
        file.write_text(source)
        subprocess.run(["gcc", file, *options, "-o", self.tmp / name], check=True)
        return self.tmp / name

    def run_commands(self, *commands: bytes, delay: str = "0") -> subprocess.CompletedProcess[str]:
        env = {"LD_PRELOAD": str(self.shim), "IMA_SHIM_LOG": str(self.log), "IMA_SHIM_DELAY_MS": delay}
        argv = [str(self.caller), *(c.hex() for c in commands)]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    def logged(self, *commands: bytes, delay: str = "0") -> list[Command]:
        done = self.run_commands(*commands, delay=delay)
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

    def test_a_delay_that_is_no_number_is_refused(self) -> None:
        for delay in ("", "x", "-1", "1s"):
            with self.subTest(delay):
                done = self.run_commands(self.READ, delay=delay)
                self.assertEqual(done.returncode, 1)
                self.assertIn("IMA_SHIM_DELAY_MS", done.stderr)


class Figures(unittest.TestCase):
    def test_share_given_back(self) -> None:
        self.assertEqual(share_given_back(100, 300, 100), 100.0)
        self.assertEqual(share_given_back(100, 300, 150), 75.0)
        self.assertEqual(share_given_back(100, 300, 300), 0.0)
        with self.assertRaises(ValueError):
            share_given_back(300, 300, 300)

    def test_a_record_that_overlaps_an_opening_is_one_during_it(self) -> None:
        opening = [Span(100, 200)]
        for start, end in ((90, 100), (90, 150), (110, 120), (90, 300), (150, 250), (200, 210)):
            with self.subTest((start, end)):
                (found,) = rounds([Span(start, end), Span(300, 301)], opening, 1)
                self.assertEqual((found.during, found.ordinary), ([end - start], [1]))

    def test_records_belong_to_the_round_of_the_opening_before_them(self) -> None:
        openings = [Span(100, 200), Span(300, 400), Span(500, 600), Span(700, 800)]
        ordinary = [Span(210, 211), Span(410, 412), Span(610, 613), Span(810, 814), Span(10, 99)]
        during = [Span(120, 125), Span(320, 326), Span(520, 527), Span(720, 728)]
        found = rounds(ordinary + during, openings, 2)
        self.assertEqual([r.ordinary for r in found], [[1, 2], [3, 4]])
        self.assertEqual([r.during for r in found], [[5, 6], [7, 8]])

    def test_an_incomplete_round_is_left_out(self) -> None:
        openings = [Span(100, 200), Span(300, 400), Span(500, 600)]
        inside = [Span(o.start + 1, o.start + 9) for o in openings]
        outside = [Span(o.end + 1, o.end + 2) for o in openings]
        (found,) = rounds(inside + outside, openings, 2)
        self.assertEqual((found.during, found.ordinary), ([8, 8], [1, 1]))

    def test_a_round_without_records_is_left_out(self) -> None:
        openings = [Span(1000 * i, 1000 * i + 100) for i in range(3)]
        pairs = [(Span(o.start, o.start + 5), Span(o.end + 1, o.end + 2)) for o in openings]
        whole = [record for pair in pairs for record in pair]
        self.assertEqual(len(rounds(whole, openings, 1)), 3)
        self.assertEqual(len(rounds(whole[1:], openings, 1)), 2)
        self.assertEqual(len(rounds(whole[:-1], openings, 1)), 2)

    def test_too_few_rounds_with_records_are_an_error(self) -> None:
        with self.assertRaises(ValueError):
            rounds([Span(110, 120)], [Span(100, 200)], 1)
        with self.assertRaises(ValueError):
            rounds([], [], 1)

    def test_the_worst_is_the_median_of_the_rounds(self) -> None:
        openings = [Span(1000 * i, 1000 * i + 100) for i in range(3)]
        during = [Span(0, 50), Span(1000, 1060), Span(2000, 2090)]
        ordinary = [Span(1000 * i + 200, 1000 * i + 200 + n) for i in range(3) for n in (10, 12, 30 + i)]
        found = latency(rounds(during + ordinary, openings, 1))
        self.assertEqual((found.ordinary, found.worst_ordinary, found.worst_during), (12, 31, 60))
        self.assertEqual((found.worst_ordinary_ever, found.worst_during_ever, found.added), (32, 90, 48))


def listed(template: bytes, *fields: bytes) -> bytes:
    data = b"".join(struct.pack("<I", len(f)) + f for f in fields)
    return (struct.pack("<I", 10) + b"\1" * 20 + struct.pack("<I", len(template)) + template
            + struct.pack("<I", len(data)) + data)  # fmt: skip


class Measurements(unittest.TestCase):
    LIST = listed(b"ima-ng", b"sha256:\0" + b"\2" * 32, b"boot_aggregate\0") + listed(
        b"ima-buf", b"sha256:\0" + b"\3" * 32, b"snapshot_aggregate\0", b"Snapshot_Attempt_Count=1;"
    )

    def test_records_tell_their_event_and_what_they_extend(self) -> None:
        first, second = records(self.LIST)
        self.assertEqual([first.event, second.event], ["boot_aggregate", "snapshot_aggregate"])
        self.assertEqual((second.pcr, second.template), (10, "ima-buf"))
        self.assertEqual(second.digest("sha1"), hashlib.sha1(second.data).digest())

    def test_a_list_cut_short_anywhere_is_an_error(self) -> None:
        whole = len(listed(b"ima-ng", b"sha256:\0" + b"\2" * 32, b"boot_aggregate\0"))
        for size in range(1, len(self.LIST)):
            if size == whole:
                continue
            with self.subTest(size), self.assertRaises(ValueError):
                list(records(self.LIST[:size]))

    def test_a_name_that_passes_the_end_is_an_error(self) -> None:
        with self.assertRaises(ValueError):
            Record(10, "ima-ng", struct.pack("<II", 0, 9) + b"name").event  # noqa: B018


class Tables(unittest.TestCase):
    def test_figures_stand_to_the_right(self) -> None:
        text = str(Table("T", ["a", "b"], [["long name", "1"], ["x", "22"]]))
        self.assertEqual(text.splitlines(), ["T", "a           b", "---------  --", "long name   1", "x          22"])

    def test_the_closing_table_tells_met_and_missed(self) -> None:
        outcome = Outcome("p", targets=[Target("fast", "2", True), Target("small", "3", False)])
        lines = str(closing_table([outcome])).splitlines()
        self.assertRegex(lines[-2], r"^p: fast +2 +MET$")
        self.assertRegex(lines[-1], r"^p: small +3 +MISSED$")

    def test_an_outcome_can_be_written_as_json(self) -> None:
        outcome = Outcome("p", targets=[Target("fast", "2", True)], figures={"by": {1: [2.5]}})
        told = json.loads(json.dumps(outcome.as_json()))
        self.assertEqual(told["figures"], {"by": {"1": [2.5]}})
        self.assertEqual(told["targets"], [{"promise": "fast", "measured": "2", "met": True}])


if __name__ == "__main__":
    unittest.main()
