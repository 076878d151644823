"""How history entries look in their stream."""

from __future__ import annotations

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.records import HistoryEntry
from gateway.store.history import history_entry, history_values


def test_round_trip() -> None:
    """Everything an entry says comes back; what it does not say takes no field."""
    state = AliasState("agent", 3, {"*": Lane("rel_1")})
    entry = HistoryEntry(5, "alice", "promote", "why not", 3, None, state, operation="x", override="bob: hurry")
    values = history_values(entry)
    fields = dict(zip(values[::2], values[1::2], strict=True)) | {"version": "3"}
    assert set(fields) == {"at_ms", "actor", "action", "reason", "operation", "override", "after", "version"}
    back = history_entry("7-0", fields)
    assert (back.id, back.after, back.before, back.override) == ("7-0", state, None, "bob: hurry")
    assert back.at_ms == 5


def test_reader_takes_what_it_knows() -> None:
    """An entry of another version is read as far as possible: the id dates it, an unknown state is left out."""
    entry = history_entry("1700000000000-0", {"version": "4", "action": "dance", "after": "{}", "new": "x"})
    assert (entry.at_ms, entry.action, entry.after) == (1_700_000_000_000, "dance", None)
