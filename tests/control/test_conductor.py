"""The loop that drives rollouts, on a real server with a clock of its own."""

from __future__ import annotations

import pytest

from gateway.control import rollouts
from gateway.control.conductor import Conductor
from gateway.control.desk import Desk
from gateway.core.contract.rollout import Phase, Word
from gateway.store import aliases
from tests.control.conftest import Make, Place
from tests.control.rolling import PLAN, SECOND, Theatre, rolling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(desk: Desk, placed: Place) -> Theatre:
    """Alias `agent`, stakes low, on release A with B before."""
    await placed("agent", {"*": "AB"})
    return Theatre(desk)


async def lapse(desk: Desk) -> None:
    """Make the holder's last word a minute old."""
    await desk.store.do("HINCRBY", desk.store.keys.control(), "at_ms", -60_000)


async def canary(stage: Theatre, made: Make, phase: Phase = Phase.CANARY) -> str:
    """A rollout of C in this phase that a person overrode the gate of; the candidate."""
    candidate = await made("C")
    state = await stage.desk.alias("agent")
    await rolling(stage.desk, state, candidate, phase, override="alice: test")
    return candidate


async def test_from_start_to_completed(stage: Theatre, made: Make) -> None:
    """Started without shadow and overridden by a person, a rollout widens stage by stage on data and time together, and its pointer
    moves once, at the end."""
    c, a = await made("C"), await made("A")
    order = rollouts.Order("agent", c, PLAN, skip_shadow="nothing to compare yet")
    begun = await rollouts.start(stage.desk, order, "new model", timeout=0)
    assert begun.after is not None
    assert begun.after.phase is Phase.GATED
    loop = Conductor(stage.desks, "one")
    assert (await loop.round()).steps == []
    assert await stage.phase() == ("gated", -1)
    await rollouts.order(stage.desk, "agent", Word.OVERRIDE, "we tried it by hand", name="alice", timeout=0)
    for at, weight in enumerate((500, 2500, 9500)):
        name = "promoting" if at == 2 else "canary"
        assert await stage.phase() == (name, at)
        state = await stage.desk.alias("agent")
        assert state.split is not None
        assert state.split.weights == {"*": weight}
        assert state.lanes["*"].release == a
        stage.later(2 * SECOND)
        assert (await loop.round()).steps == [], "time alone leads nowhere"
        await stage.due()
        assert [step.word for step in (await loop.round()).steps] == [Word.ADVANCE]
    after = await stage.desk.alias("agent")
    assert await stage.phase() == ("completed", 2)
    assert (after.lanes["*"].release, after.lanes["*"].previous[0], after.split) == (c, a, None)
    history = await aliases.history(stage.desk.store, "agent")
    told = [(entry.actor, entry.action) for entry in reversed(history)][1:]
    assert told == [
        ("alice", "rollout_start"),
        ("alice", "rollout_override"),
        *[("trivet", "rollout_advance")] * 3,
    ]
    assert (await loop.round()).steps == []


async def test_a_regression_rolls_back_in_every_phase_with_weight(stage: Theatre, made: Make) -> None:
    """Bad runs on the candidate take it off in the round that sees them: weight 0, barred, the reason in words, and how long ago the
    first bad event was."""
    c = await canary(stage, made)
    loop = Conductor(stage.desks, "one")
    await stage.serve(3)
    stage.later(400)
    await stage.serve(5, bad=("error",))
    stage.later(250)
    done = await loop.round()
    assert [(step.word, step.causes) for step in done.steps] == [(Word.REGRESSION, ("guardrail:error",))]
    assert done.steps[0].at_ms - done.steps[0].first_bad_ms == 250
    state = await stage.desk.alias("agent")
    assert state.rollout is not None
    assert (state.rollout.phase, state.split, list(state.barred)) == (Phase.ROLLED_BACK, None, [c])
    entry = (await aliases.history(stage.desk.store, "agent"))[0]
    assert (entry.actor, entry.action) == ("trivet", "rollout_regression")
    assert "error" in entry.reason
    assert entry.note == "first bad event 0.25 s before"
