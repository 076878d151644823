"""The index finds every record of a key, in order, in little memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store import logindex
from gateway.store.logfile import STAMP, pack_record, path_of
from gateway.store.logindex import LogIndex


def filled(directory: Path) -> LogIndex:
    """An index over three segments of 1,000 records with 300 keys, some sharing their high half."""
    for segment in (1, 2, 4):
        records = [pack_record(STAMP, 0, (n % 100) << 32 | n % 3 + 1, b"%d-%d" % (segment, n)) for n in range(1000)]
        path_of(directory, segment).write_bytes(b"".join(records))
    index = LogIndex(directory)
    while index.advance():
        pass
    return index


@pytest.mark.parametrize("block", [7, 8192])
def test_every_record_of_a_key_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """All records under the whole key are found, in the order of the log, however they are blocked."""
    monkeypatch.setattr(logindex, "BLOCK", block)
    index = filled(tmp_path)
    assert len(index) == 3000
    for high in range(100):
        for low in (1, 2, 3):
            expected = [
                b"%d-%d" % (segment, n)
                for segment in (1, 2, 4)
                for n in range(1000)
                if n % 100 == high and n % 3 + 1 == low
            ]
            assert [record.body for record in index.find(high << 32 | low)] == expected
    assert index.find(101 << 32 | 1) == []


def test_grows_with_the_log_and_forgets_what_is_gone(tmp_path: Path) -> None:
    """What is appended later is found, what was removed is not; records without a key are not kept."""
    index = filled(tmp_path)
    with path_of(tmp_path, 4).open("ab") as file:
        file.write(pack_record(STAMP, 0, 500 << 32, b"new") + pack_record(STAMP, 0, 0, b"single"))
    assert index.advance()
    assert not index.advance()
    assert [record.body for record in index.find(500 << 32)] == [b"new"]
    assert len(index) == 3001
    path_of(tmp_path, 1).unlink()
    assert {record.segment for record in index.find(5 << 32 | 3)} == {2, 4}


def test_shrinks_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What points into removed segments is forgotten, so that the index of an old worker is no larger than the log's."""
    monkeypatch.setattr(logindex, "BLOCK", 100)
    index = filled(tmp_path)
    path_of(tmp_path, 1).unlink()
    path_of(tmp_path, 2).unlink()
    with path_of(tmp_path, 4).open("ab") as file:
        file.write(b"".join(pack_record(STAMP, 0, n << 32 | 9, b"late") for n in range(150)))
    while index.advance():
        pass
    assert len(index) == 1150
