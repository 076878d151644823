"""What promote, rollback and apply share."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.aliases import apply
from gateway.control.desk import Desk
from gateway.control.moves import backward, forward, no_rollout, unchanged, with_lanes
from gateway.control.promote import promote
from gateway.control.rollback import rollback
from gateway.control.rollouts import retry
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import PointerFile, PointerWant
from gateway.core.contract.rollout import TERMINAL, Phase
from gateway.core.rollout import lanes
from tests.control.conftest import Make, Place
from tests.control.rolling import rolling, rollout

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


@pytest.mark.anyio
async def test_what_a_rollout_took_back_is_brought_in_by_nobody(desk: Desk, made: Make, placed: Place) -> None:
    """Neither a promotion nor a pointer file that is applied again makes a barred release stable, until its bar is lifted."""
    state = await placed("agent", {"*": "AB"})
    c = await made("C")
    await rolling(desk, state, c, Phase.COMPLETED)
    await rollback(desk, "agent", "bad", timeout=0)
    with pytest.raises(Fault, match="candidate_barred"):
        await promote(desk, "agent", c, "again", timeout=0)
    with pytest.raises(Fault, match="candidate_barred"):
        await apply(desk, PointerFile({"agent": PointerWant({"*": c})}), "from git", timeout=0)
    await retry(desk, "agent", "fixed upstream", timeout=0)
    assert (await promote(desk, "agent", c, "again", timeout=0)).changed
