"""Where in the host log the records of a key are: eight bytes of memory a record.

Rule of the file: the index only points; whoever asks gets records read from the log and checked against the whole key.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from pathlib import Path

from gateway.store.logfile import Found, Reader, record_at, segments

BLOCK = 8192
"""Records that are sorted together: a few milliseconds of work at once, at most."""


class LogIndex:
    """Grows and shrinks with the log; one thread at a time feeds it. Frozen blocks hold (high half of the key, offset), sorted."""

    def __init__(self, directory: Path, segment: int = 0, offset: int = 0) -> None:
        self.reader = Reader(directory, segment, offset)
        self._blocks: list[tuple[int, array[int]]] = []
        self._young: dict[int, list[int]] = {}
        self._young_segment = 0
        self._young_count = 0

    def advance(self) -> bool:
        """Take in one more piece; False at the end of the log. Raises OSError."""
        found = self.reader.step()
        if found is None:
            return False
        for record in found:
            if not record.key:
                continue
            if record.segment != self._young_segment or self._young_count >= BLOCK:
                self._freeze()
                self._young_segment = record.segment
            self._young.setdefault(record.key >> 32, []).append(record.offset)
            self._young_count += 1
        return True

    def _freeze(self) -> None:
        if not self._young_count:
            return
        pairs = sorted(high << 32 | offset for high, offsets in self._young.items() for offset in offsets)
        oldest = min(segments(self.reader.directory), default=0)
        kept = [block for block in self._blocks if block[0] >= oldest]
        # The block is there before the young half is gone: a look-up in between sees a record twice, never not at all.
        self._blocks = [*kept, (self._young_segment, array("Q", pairs))]
        self._young = {}
        self._young_count = 0

    def find(self, key: int) -> list[Found]:
        """The records of a key that are still there, in the order of the log. Raises OSError."""
        high = key >> 32
        places: dict[tuple[int, int], None] = {}
        for segment, block in self._blocks:
            at = bisect_left(block, high << 32)
            while at < len(block) and block[at] >> 32 == high:
                places[segment, block[at] & 0xFFFFFFFF] = None
                at += 1
        for offset in self._young.get(high, ()):
            places[self._young_segment, offset] = None
        records = [record_at(self.reader.directory, *place) for place in places]
        return [record for record in records if record is not None and record.key == key]

    def __len__(self) -> int:
        return sum(len(block) for _, block in self._blocks) + self._young_count
