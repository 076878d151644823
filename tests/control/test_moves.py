"""What promote, rollback and apply share."""

from __future__ import annotations

from gateway.control.moves import backward, forward, unchanged, with_lanes
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.rollout import lanes

STATE = AliasState("support", 7, {"*": Lane("rel_a"), "tenant:acme": Lane("rel_b")})


def test_lanes_move_as_in_a_rollout() -> None:
    """A promotion by hand moves a lane exactly as the end of a rollout does."""
    assert forward is lanes.forward
    assert backward is lanes.backward


def test_nothing_to_do_says_so() -> None:
    """The answer of an order that changed nothing names the version and the pointers that stand."""
    moved = unchanged("promote", STATE, "stable already")
    assert (moved.changed, moved.version, moved.before, moved.after) == (False, 7, STATE.lanes, STATE.lanes)
    assert moved.warnings == ("stable already",)


def test_only_lanes_are_replaced() -> None:
    """Everything but the pointers stays."""
    after = with_lanes(STATE, {"*": Lane("rel_c")})
    assert after.lanes == {"*": Lane("rel_c")}
    assert (after.name, after.version, after.stakes) == (STATE.name, STATE.version, STATE.stakes)
