"""What is told about a transition, and the command that reverts it."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane, Split
from gateway.core.contract.records import HistoryEntry
from gateway.core.rollout.notice import notice, revert, worth_telling

OLD = AliasState("agent", 1, {"*": Lane("rel_a")})
NEW = AliasState("agent", 2, {"*": Lane("rel_b", ("rel_a",))})
BARRED = msgspec.structs.replace(OLD, barred={"rel_b": "it fails"})
CANARY = AliasState("agent", 2, {"*": Lane("rel_a")}, split=Split("rel_b", "s", {"*": 500}))


def entry(action: str, before: AliasState | None, after: AliasState | None, reason: str = "why") -> HistoryEntry:
    """An entry of a history."""
    return HistoryEntry(1, "alice", action, reason, 2, before, after, id="1-0")


@pytest.mark.parametrize(
    ("told", "action", "before", "after", "command"),
    [
        (True, "promote", OLD, NEW, "trivet rollback agent --reason '...'"),
        (True, "rollback", NEW, OLD, "trivet rollout promote agent --release rel_b --reason '...'"),
        (True, "rollback", NEW, BARRED, "trivet rollout retry agent --release rel_b --reason '...'"),
        (True, "rollout_go", OLD, CANARY, "trivet rollout abort agent --reason '...'"),
        (True, "rollout_abort", CANARY, OLD, ""),
        (True, "first_release", None, OLD, ""),
        (True, "undeclared", None, None, ""),
        (False, "accept", None, None, ""),
        (False, "shadow_start", OLD, msgspec.structs.replace(OLD, version=2), ""),
    ],
)
def test_what_is_told_and_how_it_is_undone(
    told: bool, action: str, before: AliasState | None, after: AliasState | None, command: str
) -> None:
    """Whatever changes who gets what is told with its one reverting command; what changes nothing is not told."""
    one = entry(action, before, after)
    assert worth_telling(one) is told
    assert revert("agent", one) == command
    body = notice("agent", one)
    assert body["type"] == f"trivet.{action}"
    assert body["data"]["revert"] == command
    msgspec.json.encode(body)


def test_a_block_names_its_release() -> None:
    """Blocking is undone by the release's name, which the entry's reason begins with."""
    assert revert("agent", entry("block", OLD, OLD, "rel_b: leaks")) == "trivet release unblock rel_b --reason '...'"
