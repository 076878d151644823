"""How a history entry looks in its stream: the record's members as fields, states as JSON. Shared by both sides of the store.

Field names are a public interface (docs/redis.md). A reader takes what it knows and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.records import HistoryEntry

TEXTS = ("actor", "action", "reason", "operation", "evidence", "override", "note")
"""Members that are plain text, left out while empty."""


def history_values(entry: HistoryEntry) -> list[str]:
    """Fields and values after `version`, which the scripts put first themselves."""
    values = ["at_ms", str(entry.at_ms)]
    for name in TEXTS:
        text: str = getattr(entry, name)
        if text:
            values += [name, text]
    for name, state in (("before", entry.before), ("after", entry.after)):
        if state is not None:
            values += [name, msgspec.json.encode(state).decode()]
    return values


def history_entry(identifier: str, fields: Mapping[str, str]) -> HistoryEntry:
    """Read an entry of the stream. A state this version cannot read is left out; everything else still tells."""
    return HistoryEntry(
        at_ms=int(fields.get("at_ms", "") or identifier.partition("-")[0] or 0),
        actor=fields.get("actor", ""),
        action=fields.get("action", ""),
        reason=fields.get("reason", ""),
        version=int(fields.get("version", "0")),
        before=_state(fields.get("before")),
        after=_state(fields.get("after")),
        operation=fields.get("operation", ""),
        evidence=fields.get("evidence", ""),
        override=fields.get("override", ""),
        note=fields.get("note", ""),
        id=identifier,
    )


def _state(text: str | None) -> AliasState | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=AliasState)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
