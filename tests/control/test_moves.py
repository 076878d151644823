"""What promote, rollback and apply share."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.moves import backward, forward, no_rollout, unchanged, with_lanes
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import TERMINAL, Phase
from gateway.core.rollout import lanes
from tests.control.rolling import rollout

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


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in TERMINAL])
def test_a_rollout_in_progress_keeps_the_lanes_to_itself(phase: Phase) -> None:
    """From its start to its end no other order moves the pointer; afterwards they do."""
    state = AliasState("agent", 1, {"*": Lane("rel_a")}, rollout=rollout("rel_b", "rel_a", phase))
    with pytest.raises(Fault, match="rollout_active"):
        no_rollout(state)
    no_rollout(msgspec.structs.replace(state, rollout=rollout("rel_b", "rel_a", Phase.ABORTED)))
