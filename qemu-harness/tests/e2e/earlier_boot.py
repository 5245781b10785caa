# SPDX-License-Identifier: GPL-2.0-or-later
"""What a boot finds in the store of the boot before it, and what it does with that."""

from __future__ import annotations

import hashlib
import json
import unittest
from pathlib import Path
from typing import ClassVar

from e2e.guests import Out
from imaharness import imalog


class OldSegments(unittest.TestCase):
    """Checks of the segments that a boot has left."""

    def old_segments(self) -> list[Path]:
        raise NotImplementedError

    def check_aggregates(self) -> None:
        """Check that each segment but the first begins with the aggregate of the one before it."""
        segments = [f.read_bytes() for f in self.old_segments()]
        for attempt, (before, after) in enumerate(zip(segments, segments[1:], strict=False), 1):
            first = next(imalog.records(after))
            self.assertTrue(first.is_aggregate, attempt)
            aggregate = imalog.aggregate(first)
            self.assertEqual(aggregate.attempt, attempt)
            self.assertEqual(aggregate.segment_hash, hashlib.sha256(before).hexdigest())

    def check_workers(self, load: str) -> list[int]:
        """Check that the first files of each worker below LOAD are stored, in order and once; return how many."""
        events = [r.event for s in self.old_segments() for r in imalog.records(s.read_bytes())]
        counts = []
        for worker in range(1, 5):
            prefix = f"{load}/worker{worker}/"
            files = [event for event in events if event.startswith(prefix)]
            self.assertEqual(files, [f"{prefix}{n}" for n in range(1, len(files) + 1)])
            counts.append(len(files))
        return counts

    def check_metadata(self) -> None:
        """Check that each segment has the bytes that its metadata describes."""
        segments = self.old_segments()
        number = 0
        for file in segments:
            data = file.read_bytes()
            info = file.with_suffix(".json")
            # A killed daemon may have left a segment that the next one superseded.
            superseded = json.loads(info.read_text())["supersedes"] if info.exists() else None
            number = (superseded or number) + 1
            self.assertEqual(file.name, f"{number:08d}.ima")
            if not info.exists():
                # The metadata is written after the segment, so only the last segment can lack it.
                self.assertEqual(file, segments[-1])
                list(imalog.records(data))
                continue
            metadata = json.loads(info.read_text())
            self.assertEqual(metadata["sha256"], hashlib.sha256(data).hexdigest(), file.name)
            self.assertEqual(metadata["records"], len(list(imalog.records(data))), file.name)


class EarlierBoot(OldSegments):
    """The scenario copied the store to /out/found at its start and to /out/store at its end."""

    out: ClassVar[Out]

    def old_segments(self) -> list[Path]:
        return sorted((self.out / "found/boots/00000001").glob("*.ima"))

    def test_each_old_segment_has_the_bytes_that_its_metadata_gives(self) -> None:
        self.check_metadata()

    def test_the_old_session_is_closed_and_kept(self) -> None:
        session = json.loads((self.out / "store/boots/00000001/session.json").read_text())
        self.assertRegex(session["closed"], r"^\d{4}-\d\d-\d\dT")
        for file in self.old_segments():
            kept = self.out / "store/boots/00000001" / file.name
            self.assertEqual(kept.read_bytes(), file.read_bytes())

    def test_the_tpm_counted_the_boot(self) -> None:
        counts = [
            json.loads((self.out / f"store/boots/0000000{n}/session.json").read_text())["tpm_reset_count"]
            for n in (1, 2)
        ]
        self.assertGreater(counts[1], counts[0])

    def test_nothing_is_left_over(self) -> None:
        self.assertEqual(self.out.leftovers(), [])
