"""The log on disk is readable whatever happened to it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gateway.store.logfile import (
    LINK,
    PENDING,
    STAMP,
    Reader,
    link_key,
    pack_record,
    path_of,
    prune,
    record_at,
    segments,
    stamp_key,
    unpack,
)


def bodies(data: bytes, *, final: bool = True) -> list[bytes]:
    """Bodies of the records in some bytes."""
    return [record.body for record in unpack(data, 1, 0, final=final)[0]]


def test_round_trip() -> None:
    """Kind, flag, key, place and body come back."""
    data = pack_record(STAMP, PENDING, 7, b"one") + pack_record(LINK, 0, 8, b"two")
    found, used, bad = unpack(data, 3, 100, final=True)
    assert [(r.segment, r.offset, r.kind, r.flags, r.key, r.body) for r in found] == [
        (3, 100, STAMP, PENDING, 7, b"one"),
        (3, 124, LINK, 0, 8, b"two"),
    ]
    assert (used, bad) == (len(data), 0)


@settings(max_examples=100, deadline=None)
@given(some.integers(0, 10_000), some.integers(0, 255))
def test_g2_bit_flips_cost_one_record(place: int, value: int) -> None:
    """G2: a changed byte anywhere loses at most the record it is in; all others are read, and the loss is counted."""
    records = [pack_record(STAMP, 0, n + 1, b'{"n":%d}' % n) for n in range(20)]
    data = bytearray(b"".join(records))
    place %= len(data)
    same = data[place] == value
    data[place] = value
    found, _, bad = unpack(bytes(data), 1, 0, final=True)
    kept = {record.body for record in found}
    assert len(kept) >= 19
    if not same and len(kept) == 19:
        assert bad >= 1
    assert all(record.body in kept for record in found)


@settings(max_examples=60, deadline=None)
@given(some.integers(1, 300))
def test_g2_torn_tail_waits_then_is_skipped(cut: int) -> None:
    """G2: a record that is still being written is left for the next look; where nothing can follow it is skipped and counted."""
    whole = pack_record(STAMP, 0, 1, b"a" * 50)
    torn = pack_record(STAMP, 0, 2, b"b" * 400)[:cut]
    found, used, bad = unpack(whole + torn, 1, 0, final=False)
    assert (len(found), used, bad) == (1, len(whole), 0)
    found, used, bad = unpack(whole + torn, 1, 0, final=True)
    assert (len(found), used, bad) == (1, len(whole + torn), 1)
    assert bodies(whole + torn + pack_record(STAMP, 0, 3, b"c"), final=False) == [b"a" * 50, b"c"]


@settings(max_examples=60, deadline=None)
@given(some.binary(max_size=300), some.booleans())
def test_g2_junk_never_stops_the_reader(junk: bytes, final: bool) -> None:
    """G2: records behind any junk are found."""
    data = junk + pack_record(STAMP, 0, 3, b"after")
    assert bodies(data, final=final)[-1] == b"after"


def test_reader_walks_segments_and_growth(tmp_path: Path) -> None:
    """A reader goes through all segments in order, and later sees what was appended meanwhile, even byte by byte."""
    path_of(tmp_path, 2).write_bytes(b"".join(pack_record(STAMP, 0, n, b"%d" % n) for n in range(5000)))
    tail = pack_record(STAMP, 0, 1, b"late")
    path_of(tmp_path, 5).write_bytes(tail[:7])
    reader = Reader(tmp_path)
    found: list[bytes] = []
    while (piece := reader.step()) is not None:
        found += [record.body for record in piece]
    assert found == [b"%d" % n for n in range(5000)]
    assert reader.behind() == 7
    for byte in tail[7:]:
        with path_of(tmp_path, 5).open("ab") as file:
            file.write(bytes([byte]))
        while (piece := reader.step()) is not None:
            found += [record.body for record in piece]
    assert found[-1] == b"late"
    assert reader.bad == 0


def test_torn_end_of_an_old_segment_is_counted(tmp_path: Path) -> None:
    """The torn last record of a segment that is no longer written is skipped and counted once."""
    path_of(tmp_path, 1).write_bytes(pack_record(STAMP, 0, 1, b"x") + pack_record(STAMP, 0, 1, b"y")[:-5])
    path_of(tmp_path, 2).write_bytes(pack_record(STAMP, 0, 1, b"z"))
    reader = Reader(tmp_path)
    found: list[bytes] = []
    while (piece := reader.step()) is not None:
        found += [record.body for record in piece]
    assert found == [b"x", b"z"]
    assert reader.bad == 1


def test_record_at_reads_big_and_small(tmp_path: Path) -> None:
    """A record is read from its place alone, whatever its size; a place that is gone gives nothing."""
    data = pack_record(STAMP, 0, 1, b"x" * 15_000) + pack_record(STAMP, 0, 2, b"y")
    path_of(tmp_path, 1).write_bytes(data)
    first = record_at(tmp_path, 1, 0)
    assert first is not None
    assert len(first.body) == 15_000
    second = record_at(tmp_path, 1, len(data) - 22)
    assert second is not None
    assert second.body == b"y"
    assert record_at(tmp_path, 9, 0) is None


def test_prune_keeps_the_newest(tmp_path: Path) -> None:
    """The oldest segments go while all together are too big; the newest never does."""
    for number in range(1, 6):
        path_of(tmp_path, number).write_bytes(b"x" * 100)
    (tmp_path / "other.txt").write_text("")
    assert prune(tmp_path, 250) == 3
    assert segments(tmp_path) == [4, 5]
    assert prune(tmp_path, 0) == 1
    assert segments(tmp_path) == [5]


def test_keys_do_not_meet() -> None:
    """Bindings and links of different tenants, runs and aliases have different keys."""
    keys = {stamp_key(t, r, a) for t in "ab" for r in "ab" for a in "ab"} | {link_key(t, i) for t in "ab" for i in "ab"}
    assert len(keys) == 12


@pytest.mark.parametrize("seed", range(3))
def test_holes_of_any_size(seed: int) -> None:
    """Zeroed stretches, as a file system leaves them after a power cut, cost only what they cover."""
    chance = random.Random(seed)
    data = bytearray(b"".join(pack_record(STAMP, 0, n, b"%d" % n * 20) for n in range(300)))
    at = chance.randrange(len(data) - 2000)
    data[at : at + 2000] = bytes(2000)
    assert len(bodies(bytes(data))) > 230
