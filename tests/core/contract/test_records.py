"""The records of the admin API and of `--json`."""

from __future__ import annotations

import msgspec

from gateway.core.contract import records
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.records import Acknowledgement, HistoryEntry, PointerFile, PointerWant, Record


def test_every_member_is_always_written() -> None:
    """A reader never has to guess a default: records leave nothing out, at any depth that is their own."""
    kinds = [kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, Record)]
    assert len(kinds) > 20
    assert not [kind.__name__ for kind in kinds if kind.__struct_config__.omit_defaults]


def test_history_entry_round_trip() -> None:
    """An entry with its states survives JSON."""
    entry = HistoryEntry(1, "alice", "promote", "why", 2, None, AliasState("a", 2, {"*": Lane("rel_1")}))
    assert msgspec.json.decode(msgspec.json.encode(entry), type=HistoryEntry) == entry


def test_slowest_worker() -> None:
    """The time of a rollback is that of its slowest worker."""
    assert Acknowledgement(1, {"a": 3.0, "b": 7.5}, ()).slowest == 7.5
    assert Acknowledgement(1, {}, ()).slowest == 0.0


def test_pointer_file_defaults() -> None:
    """A pointer file can be written by hand with lanes alone."""
    file = msgspec.json.decode(b'{"aliases":{"a":{"lanes":{"*":"rel_1"}}}}', type=PointerFile)
    assert file == PointerFile({"a": PointerWant({"*": "rel_1"}, 0)}, 1)
