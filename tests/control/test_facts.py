"""The facts of a rollout, from the store."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.facts import LOOK_MS, Watch, drifted, failed, shadowed, undeclared
from gateway.core.contract.alias import Stakes
from gateway.core.contract.pair import Difference, Dimension, PairClass, Side
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rollout import Phase, Word
from gateway.core.rollout import judge
from gateway.store import aliases
from tests.control.conftest import MODELS, Make, Place
from tests.control.rolling import Theatre, rolling, rollout
from tests.control.stored import keep, line
from tests.shadow.jobs import job

pytestmark = pytest.mark.anyio

BROKEN = (Difference(Dimension.SCHEMA, "$", "", "", 0.9, worse=True),)


async def test_shadow_counts_trios_and_hard_failures_since_the_rollout_began(desk: Desk, made: Make) -> None:
    """Older pairs and those of other candidates do not count; a failed call and a broken schema of the candidate are failures; nothing
    is read again while no pair came."""
    a, b, c = await made("A"), await made("B"), await made("C")
    made_now = rollout(b, a, Phase.SHADOWING, started_ms=1000)
    side = Side(a, "m", 200)
    for number, (at_ms, candidate, more) in enumerate(
        [
            (999, b, {}),
            (2000, c, {}),
            (2000, b, {"secondary": side}),
            (2000, b, {"secondary": side, "found": PairClass.IDENTICAL}),
            (2001, b, {"replay_ms": 0}),
        ]
    ):
        await keep(desk.store, number, (a, candidate), alias="agent", at_ms=at_ms, **more)
    seen, found = await shadowed(desk, "agent", made_now, None)
    assert (found.trios, found.pairs, found.failures) == (2, 3, 0)
    assert len(found.report) == 64
    assert await shadowed(desk, "agent", made_now, (seen, found)) == (seen, found)
    plain = line(job(1, pair="p", primary=a, candidate=b))
    assert not failed(plain)
    assert failed(msgspec.structs.replace(plain, differences=BROKEN))
    assert failed(msgspec.structs.replace(plain, candidate=Side(b, "m", 500, "server_error")))


async def test_undeclared_prompts_stand_until_somebody_answers_for_them(desk: Desk, placed: Place) -> None:
    """An entry of before the rollout is not its alarm, and one that was accepted is none any more."""
    await placed("agent", {"*": "A"})
    for at_ms, action, identifier in (
        (500, "undeclared", "t0"),
        (1500, "undeclared", "t1"),
        (1600, "undeclared", "t2"),
    ):
        entry = about(desk, action, at_ms, identifier)
        await aliases.note(desk.store, "agent", entry)
    await aliases.note(desk.store, "agent", about(desk, "accept", 1700, "t1"))
    assert undeclared(await aliases.history(desk.store, "agent"), 1000) == ["undeclared:t2"]


def about(desk: Desk, action: str, at_ms: int, identifier: str) -> HistoryEntry:
    """A history entry about a template."""
    return msgspec.structs.replace(desk.entry(action, "because"), at_ms=at_ms, evidence=identifier)


async def test_drift_of_the_two_models_stands_until_somebody_acknowledges_it(
    desk: Desk, made: Make, placed: Place
) -> None:
    """What changed before the rollout began, and what is only warm, is not its alarm; an acknowledgement ends all of that snapshot."""
    state = await placed("agent", {"*": "AD"})
    state = await rolling(desk, state, await made("B"), Phase.CANARY)
    assert state.rollout is not None
    began = state.rollout.started_ms
    for at_ms, letter in ((began - 1, "A"), (began, "A"), (began + 1, "B"), (began + 1, "D")):
        await aliases.note(desk.store, "agent", about(desk, "drift", at_ms, f"{MODELS[letter]}@2"))
    found = await Watch().facts(desk, state, state.rollout)
    assert found.alarms == (f"drift:{MODELS['B']}@2", f"drift:{MODELS['A']}@2")
    due = judge.due(state.rollout, found, Stakes.LOW)
    assert due is not None and due.word is Word.FREEZE and set(found.alarms) <= set(due.causes)
    await aliases.note(desk.store, "agent", about(desk, "drift_ack", began + 2, f"{MODELS['A']}@3"))
    assert (await Watch().facts(desk, state, state.rollout)).alarms == (f"drift:{MODELS['B']}@2",)
    entries = await aliases.history(desk.store, "agent")
    assert drifted(entries, began, {MODELS["A"]}) == []


async def test_slow_facts_are_looked_at_now_and_then(desk: Desk, made: Make, placed: Place) -> None:
    """Counts are read each time, the gate and alarms every LOOK_MS; another rollout is looked at afresh."""
    state = await placed("agent", {"*": "A"})
    stage = Theatre(desk, desk.now_ms)
    state = await rolling(desk, state, await made("B"), Phase.CANARY)
    assert state.rollout is not None
    watch = Watch()
    first = await watch.facts(desk, state, state.rollout)
    assert (first.gate.verdict, first.alarms, first.tally.units) == ("MISSING", (), {})
    assert first.findings
    await stage.serve(2, 3)
    await aliases.note(desk.store, "agent", about(desk, "undeclared", desk.now_ms, "t9"))
    again = await watch.facts(desk, state, state.rollout)
    assert again.tally.units == {"* canary 500": 2, "* stable 500": 3}
    assert again.alarms == ()
    late = replace(desk, now_ms=desk.now_ms + LOOK_MS)
    assert (await watch.facts(late, state, state.rollout)).alarms == ("undeclared:t9",)
    watch.forget([])
    assert watch.looks == {}


async def test_a_loss_freezes_the_stage_that_it_fell_into(desk: Desk, made: Make, placed: Place) -> None:
    """Entries that were lost before the stage began do not freeze it again; those lost in it do."""
    state = await placed("agent", {"*": "A"})
    state = await rolling(desk, state, await made("B"), Phase.CANARY)
    assert state.rollout is not None
    await Watch().facts(desk, state, state.rollout)
    for lost, told in ((state.rollout.since_ms, ()), (state.rollout.since_ms + 1, ("events_lost",))):
        await desk.store.do("HSET", desk.store.keys.rollout_counts("agent"), "lost_ms", lost)
        assert (await Watch().facts(desk, state, state.rollout)).alarms == told
