"""How a request travels: path, query or body."""

from __future__ import annotations

import msgspec

from gateway.admin.asks import AliasHistory, Rollback
from gateway.admin.operations import OPERATIONS


def test_names_in_the_path_are_percent_encoded() -> None:
    """A name with a slash stays one segment."""
    target, body = OPERATIONS["alias.history"].placed(AliasHistory(alias="team/agent:1", limit=5))
    assert (target, body) == ("/api/v1/aliases/team%2Fagent%3A1/history?limit=5", b"")


def test_changes_travel_as_json() -> None:
    """Members of a POST that are not in the path are its body; defaults are left out."""
    target, body = OPERATIONS["rollback"].placed(Rollback(alias="a", reason="why", stop_runs=True))
    assert target == "/api/v1/aliases/a/rollback"
    assert msgspec.json.decode(body) == {"reason": "why", "stop_runs": True}


def test_only_gets_do_not_change() -> None:
    """What is read with GET changes nothing, everything else leaves an audit line."""
    assert all(operation.changes == (operation.method != "GET") for operation in OPERATIONS.values())
