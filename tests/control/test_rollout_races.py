"""F13, I3, I4 with a rollout in progress: two orders that have read the same state, in either order of their writes.

Each race is played once with either side first: both have decided before one of them writes, which is the worst there is.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import anyio
import pytest

from gateway.control import rollouts
from gateway.control.block import block
from gateway.control.conductor import Conductor
from gateway.control.desk import Desk
from gateway.control.promote import promote
from gateway.control.rollback import rollback
from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Phase, Word
from gateway.store import aliases
from tests.control import whole
from tests.control.conftest import Make, Place
from tests.control.rolling import PLAN, Theatre, rolling

pytestmark = pytest.mark.anyio

SIDE: ContextVar[str] = ContextVar("SIDE", default="")
FIRST = pytest.mark.parametrize("first", [0, 1], ids=["one-first", "other-first"])


@pytest.fixture
async def stage(desk: Desk, placed: Place) -> Theatre:
    """Alias `agent`, stakes low, on release A with B before."""
    await placed("agent", {"*": "AB"})
    return Theatre(desk)


async def begun(stage: Theatre, made: Make, phase: Phase) -> AliasState:
    """A rollout of C in this phase that a person answers for."""
    state = await stage.desk.alias("agent")
    return await rolling(stage.desk, state, await made("C"), phase, override="alice: test")


async def raced(monkeypatch: pytest.MonkeyPatch, first: int, *orders: Coroutine[Any, Any, Any]) -> list[object]:
    """What came of both orders: the one that is not `first` has read, and waits with its write until the first has written."""
    write, decided, written = aliases.write, anyio.Event(), anyio.Event()
    results: list[object] = [None, None]

    async def ordered(*args: Any, **more: Any) -> AliasState:
        if SIDE.get() == "first" and not written.is_set():
            await decided.wait()
            try:
                return await write(*args, **more)
            finally:
                written.set()
        decided.set()
        await written.wait()
        return await write(*args, **more)

    async def carried(at: int) -> None:
        SIDE.set("first" if at == first else "second")
        try:
            results[at] = await orders[at]
        except Fault as fault:
            results[at] = fault
        (written if at == first else decided).set()

    monkeypatch.setattr(aliases, "write", ordered)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(carried, 0)
            group.start_soon(carried, 1)
    monkeypatch.setattr(aliases, "write", write)
    return results


async def told(stage: Theatre) -> list[tuple[str, str]]:
    """Who did what, oldest first, once everything that must be true was found so."""
    entries = list(reversed(await aliases.history(stage.desk.store, "agent", 1000)))
    state = await stage.desk.alias("agent")
    whole.check_state(state)
    assert [entry.version for entry in entries] == list(range(1, state.version + 1))
    return [(entry.actor, entry.action) for entry in entries[2:]]


def who(stage: Theatre, name: str) -> Desk:
    """The desk of another operator."""
    return replace(stage.desk, actor=name, now_ms=stage.now_ms)


def code(result: object) -> str:
    """The code of a refusal; empty where it was carried out."""
    return result.code if isinstance(result, Fault) else ""


@FIRST
async def test_f13_approve_against_abort(
    stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """F13: one approves while another aborts: whoever writes first, it ends aborted; an approval that lost is told so. Both are in
    the history as far as they were carried out."""
    await begun(stage, made, Phase.AWAITING_APPROVAL)
    approved = rollouts.order(who(stage, "ann"), "agent", Word.APPROVE, timeout=0)
    aborted = rollouts.order(who(stage, "bob"), "agent", Word.ABORT, "no", timeout=0)
    results = await raced(monkeypatch, first, approved, aborted)
    assert (await stage.phase())[0] == "aborted"
    assert (code(results[0]), code(results[1])) == ("" if first == 0 else "pointer_moved", "")
    assert await told(stage) == [*[("ann", "rollout_approve")] * (first == 0), ("bob", "rollout_abort")]


@FIRST
async def test_f13_start_against_start(stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """F13: two start a rollout at once: one is in progress, the other operator is told, and nothing of his is left."""
    orders = [
        rollouts.start(
            who(stage, name),
            rollouts.Order("agent", await made(letter), PLAN, skip_shadow="test"),
            "new",
            timeout=0,
        )
        for name, letter in (("ann", "C"), ("bob", "D"))
    ]
    results = await raced(monkeypatch, first, *orders)
    assert code(results[first]) == ""
    assert code(results[1 - first]) == "pointer_moved"
    entries = await aliases.history(stage.desk.store, "agent")
    assert [(entry.actor, entry.action) for entry in entries][:-1] == [(("ann", "bob")[first], "rollout_start")]
    state = await stage.desk.alias("agent")
    assert state.rollout is not None
    assert state.rollout.candidate == await made("CD"[first])
    assert state.barred == {}


@FIRST
@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.PROMOTING])
async def test_f13_rollback_against_advance(
    stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch, first: int, phase: Phase
) -> None:
    """F13: somebody rolls back while the loop widens, or completes: it ends rolled back with the old release stable, in either order."""
    await begun(stage, made, phase)
    loop = Conductor(stage.desks, "one", list_seconds=0)
    await loop.round()
    await stage.due()
    results = await raced(monkeypatch, first, rollback(who(stage, "ann"), "agent", "worse", timeout=0), loop.round())
    assert [code(result) for result in results] == ["", ""]
    state = await stage.desk.alias("agent")
    assert ((await stage.phase())[0], state.split) == ("rolled_back", None)
    assert state.lanes["*"].release == await made("A")
    assert list(state.barred) == [await made("C")]
    assert await told(stage) == [*[("trivet", "rollout_advance")] * first, ("ann", "rollback")]


@FIRST
async def test_f13_promote_against_start(
    stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """F13: one promotes by hand while another starts a rollout: one of the two happens, whole."""
    d = await made("D")
    order = rollouts.Order("agent", await made("C"), PLAN, skip_shadow="test")
    begin = rollouts.start(who(stage, "bob"), order, "new", timeout=0)
    results = await raced(monkeypatch, first, promote(who(stage, "ann"), "agent", d, "now", timeout=0), begin)
    state = await stage.desk.alias("agent")
    assert [code(result) for result in results] == (["", "pointer_moved"] if first == 0 else ["pointer_moved", ""])
    assert (state.lanes["*"].release == d, state.rollout is None) == (first == 0, first == 0)


@FIRST
@pytest.mark.parametrize("word", [Word.ABORT, Word.FREEZE])
async def test_f13_a_person_against_the_loops_rollback(
    stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch, first: int, word: Word
) -> None:
    """F13: a person ends or freezes it in the moment in which the loop takes it back: nobody is left on the candidate, and what was
    carried out is told, each once."""
    await begun(stage, made, Phase.CANARY)
    await stage.serve(9, bad=("error",))
    loop = Conductor(stage.desks, "one", list_seconds=0)
    person = rollouts.order(who(stage, "ann"), "agent", word, "no", timeout=0)
    results = await raced(monkeypatch, first, person, loop.round())
    state = await stage.desk.alias("agent")
    assert state.split is None
    assert list(state.barred) == [await made("C")]
    ended, _ = await stage.phase()
    assert ended == ("aborted" if word is Word.ABORT and first == 0 else "rolled_back")
    assert code(results[0]) == ("rollout_state" if word is Word.FREEZE and first else "")
    assert len(await told(stage)) == (2 if word is Word.FREEZE and first == 0 else 1)


@FIRST
async def test_f13_two_loops_after_a_takeover(
    stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """F13: a loop that was replaced without knowing and its successor both want to widen: one step is made."""
    await begun(stage, made, Phase.CANARY)
    old, new = (Conductor(stage.desks, name, list_seconds=0) for name in ("old", "new"))
    await old.round()
    await stage.due()

    async def taken() -> None:
        await stage.desk.store.do("HINCRBY", stage.desk.store.keys.control(), "at_ms", -60_000)
        await new.round()

    await raced(monkeypatch, first, old.round(), taken())
    assert new.leads
    assert first or not old.leads, "what was decided before the takeover is refused after it"
    assert await stage.phase() == ("canary", 1)
    assert await told(stage) == [("trivet", "rollout_advance")]


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.FROZEN, Phase.PROMOTING])
async def test_i4_with_a_rollout_in_progress(stage: Theatre, made: Make, phase: Phase) -> None:
    """I4: to a release whose record is gone, to one that was never stable and to the candidate: refused with the warm ones, and the
    rollout goes on; to the stable one: the rollout ends and no pointer moves; again: nothing is changed."""
    state = await begun(stage, made, phase)
    a, b = await made("A"), await made("B")
    await stage.desk.store.do("DEL", stage.desk.store.keys.release(b))
    for target in (b, await made("D"), await made("C"), "rel_0000000000000000"):
        with pytest.raises(Fault, match="no_warm_release") as caught:
            await rollback(stage.desk, "agent", "bad", to=target, timeout=0)
        assert "Warm releases: none" in caught.value.message
        assert await stage.desk.alias("agent") == state
    moved = await rollback(stage.desk, "agent", "bad", to=a, timeout=0)
    assert (moved.changed, moved.before, moved.after) == (True, state.lanes, state.lanes)
    assert (await stage.phase())[0] == "rolled_back"
    for to in ("", a):
        again = await rollback(stage.desk, "agent", "bad", to=to, timeout=0)
        assert (again.changed, again.version) == (False, moved.version)
    assert await told(stage) == [("alice", "rollback")]


async def test_i4_back_from_a_candidate_whose_incumbent_is_blocked(stage: Theatre, made: Make) -> None:
    """I4: after completion, where the former release may not be called any more, the next warm one is taken, and that is said."""
    await begun(stage, made, Phase.COMPLETED)
    a, b = await made("A"), await made("B")
    await block(stage.desk, a, "leaks", timeout=0)
    moved = await rollback(stage.desk, "agent", "bad", timeout=0)
    assert moved.after["*"].release == b
    assert any("passed over" in warning and a in warning for warning in moved.warnings)


async def test_i3_promote_during_a_rollout_is_refused(stage: Theatre, made: Make) -> None:
    """I3: no override promotes past a rollout in progress, not its own candidate either; nor one that was taken back."""
    await begun(stage, made, Phase.CANARY)
    for letter in "CD":
        with pytest.raises(Fault, match="rollout_active"):
            await promote(stage.desk, "agent", await made(letter), "hurry", override="alice", timeout=0)
    await rollouts.order(stage.desk, "agent", Word.ABORT, "no", timeout=0)
    with pytest.raises(Fault, match="candidate_barred"):
        await promote(stage.desk, "agent", await made("C"), "hurry", override="alice", timeout=0)
    assert await told(stage) == [("alice", "rollout_abort")]


async def test_a_loop_that_was_replaced_without_noticing_fences_anew(stage: Theatre, made: Make) -> None:
    """Another loop drove and left while this one slept: what is still on its way from there is refused once this one has looked."""
    await begun(stage, made, Phase.CANARY)
    one, other = (Conductor(stage.desks, name, list_seconds=0) for name in ("one", "other"))
    assert (await one.round()).leader
    await stage.desk.store.do("HINCRBY", stage.desk.store.keys.control(), "at_ms", -60_000)
    assert (await other.round()).leader
    stale = (await stage.desk.alias("agent")).epoch
    await other.leave()
    assert (await one.round()).leader
    state = await stage.desk.alias("agent")
    assert state.epoch > stale
    with pytest.raises(Fault, match="fenced"):
        await aliases.write(stage.desk.store, state, state, stage.desk.entry("test", "late"), epoch=stale)
