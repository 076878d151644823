"""The override file of a host."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.records import HistoryEntry
from gateway.store.local import (
    JOURNAL,
    OVERRIDE,
    DiskCopyError,
    in_force,
    override,
    pending,
    read_copy,
    read_override,
    settle,
)
from gateway.store.records import PointerFile


def state(name: str, version: int) -> AliasState:
    """An alias at a version."""
    return AliasState(name, version, {"*": Lane(f"rel_{version}")})


def wanted(name: str, version: int, instance: str = "i") -> PointerFile:
    """An override of one alias."""
    return PointerFile(instance, 0, {name: state(name, version)})


def entry(after: AliasState) -> HistoryEntry:
    """A history entry that leads there."""
    return HistoryEntry(
        1, "alice", "local", "dead store", after.version, None, after, operation=f"{after.name}{after.version}"
    )


def test_newer_override_is_in_force(tmp_path: Path) -> None:
    """An override counts only above the copy's version; without any file nothing is known."""
    assert in_force(tmp_path) is None
    copy = PointerFile("i", 1, {"a": state("a", 5), "b": state("b", 5)})
    (tmp_path / "pointers.json").write_bytes(msgspec.json.encode(copy))
    override(tmp_path, wanted("a", 6), entry(state("a", 6)))
    override(tmp_path, wanted("b", 4), entry(state("b", 4)))
    file = in_force(tmp_path)
    assert file is not None
    assert {name: s.version for name, s in file.aliases.items()} == {"a": 6, "b": 5}
    assert read_copy(tmp_path) == copy
    assert [e.version for e in pending(tmp_path)] == [6, 4]
    assert (tmp_path / OVERRIDE).stat().st_mode & 0o077 == 0


def test_settled_ones_go_and_later_ones_stay(tmp_path: Path) -> None:
    """What the store has overtaken is taken out; an override that came meanwhile stays; the last one removes the files."""
    for s in (state("a", 2), state("b", 2), state("b", 3)):
        override(tmp_path, wanted(s.name, s.version), entry(s))
    settle(tmp_path, {"a": 2, "b": 2})
    left = read_override(tmp_path)
    assert left is not None
    assert set(left.aliases) == {"b"}
    settle(tmp_path, {"b": 3})
    assert read_override(tmp_path) is None
    assert pending(tmp_path) == []
    settle(tmp_path, {"b": 3})


def test_broken_files(tmp_path: Path) -> None:
    """A broken pointer file is named, never overwritten or ignored; a torn last journal line is left out."""
    (tmp_path / "pointers.json").write_text("{broken")
    with pytest.raises(DiskCopyError, match=r"pointers\.json"):
        read_copy(tmp_path)
    override(tmp_path, wanted("a", 2), entry(state("a", 2)))
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'{"at_ms":1,"actor":"bo')
    assert [e.version for e in pending(tmp_path)] == [2]


def _write(directory: str, name: str) -> None:
    for version in range(1, 11):
        override(directory, wanted(name, version), entry(state(name, version)))


def test_two_operators_on_one_host(tmp_path: Path) -> None:
    """Overrides of two processes at once are both kept."""
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_write, args=(str(tmp_path), name)) for name in ("a", "b")]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
        assert process.exitcode == 0
    file = read_override(tmp_path)
    assert file is not None
    assert {name: s.version for name, s in file.aliases.items()} == {"a": 10, "b": 10}
    assert len(pending(tmp_path)) == 20


def test_override_for_another_store_replaces_the_former(tmp_path: Path) -> None:
    """Overrides of two stores are never in one file."""
    override(tmp_path, wanted("a", 9, "old"), entry(state("a", 9)))
    override(tmp_path, wanted("b", 1, "new"), entry(state("b", 1)))
    file = read_override(tmp_path)
    assert file is not None
    assert (file.instance, set(file.aliases)) == ("new", {"b"})
