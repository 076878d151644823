"""What people order of a rollout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.control import rollouts
from gateway.control.block import block
from gateway.control.desk import Desk
from gateway.core.contract.alias import AliasState, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Phase, Word
from gateway.core.rollout import machine
from gateway.store import aliases, lease
from gateway.store.client import unavailable
from tests.control.conftest import Make, Place
from tests.control.gates import gated, proof
from tests.control.rolling import PLAN, Theatre, rolling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rolled(desk: Desk, made: Make, placed: Place) -> AliasState:
    """`agent` on A, with C at the first canary stage."""
    state = await placed("agent", {"*": "AB"})
    return await rolling(desk, state, await made("C"), Phase.CANARY)


def captured(desk: Desk) -> Desk:
    """A desk whose configuration lets pairs come about."""
    keyed = {name: msgspec.structs.replace(each, api_key="own") for name, each in desk.settings.providers.items()}
    return replace(desk, settings=msgspec.structs.replace(desk.settings, capture="hashes", providers=keyed))


async def order(desk: Desk, made: Make, letter: str = "C", **more: Any) -> rollouts.Order:
    """An order to roll out the release of a letter, by default without a shadow."""
    return rollouts.Order("agent", await made(letter), PLAN, **{"skip_shadow": "no traffic yet", **more})


async def test_start_is_one_write_with_the_shadow_in_it(desk: Desk, made: Make, placed: Place) -> None:
    """A started rollout is shadowing: the candidate's shadow, the rollout and its history entry are one write, and nobody is on it."""
    await placed("agent", {"*": "AB"})
    desk = captured(desk)
    found = await rollouts.start(desk, await order(desk, made, skip_shadow="", acknowledged=True), "new", timeout=0)
    state = await desk.alias("agent")
    assert (found.version, state.version, state.split) == (2, 2, None)
    assert state.rollout is not None
    assert (state.rollout.phase, state.rollout.version, state.rollout.actor) == (Phase.SHADOWING, 2, "alice")
    assert [shadow.candidate for shadow in state.shadows] == [await made("C")]
    assert found.waits[0].what.startswith("0 of 5 requests")
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert (entry.action, entry.reason, entry.actor) == ("rollout_start", "new", "alice")
    assert any("no process that drives rollouts" in warning for warning in found.warnings)


async def test_what_a_start_refuses(desk: Desk, made: Make, placed: Place) -> None:
    """Refused without a write: a release that is stable, blocked or barred, a second rollout, and no reason."""
    await placed("agent", {"*": "AB"})
    with pytest.raises(Fault, match="candidate_stable"):
        await rollouts.start(desk, await order(desk, made, "A"), "why", timeout=0)
    with pytest.raises(Fault, match="reason_missing"):
        await rollouts.start(desk, await order(desk, made), " ", timeout=0)
    await block(desk, await made("D"), "leaks", timeout=0)
    with pytest.raises(Fault, match="release_blocked"):
        await rollouts.start(desk, await order(desk, made, "D"), "why", timeout=0)
    await rollouts.start(desk, await order(desk, made), "why", timeout=0)
    with pytest.raises(Fault, match="rollout_active"):
        await rollouts.start(desk, await order(desk, made, "B"), "why", timeout=0)
    await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)
    with pytest.raises(Fault, match="candidate_barred") as caught:
        await rollouts.start(desk, await order(desk, made), "why", timeout=0)
    assert "rollout retry" in caught.value.message
    state = await desk.alias("agent")
    assert state.version == 3


async def test_supersede_aborts_the_old_one_first(desk: Desk, made: Make, rolled: AliasState) -> None:
    """With --supersede the rollout in progress is aborted and its candidate barred, and the new one begins after that."""
    assert rolled.rollout is not None
    found = await rollouts.start(desk, await order(desk, made, "D", supersede=True), "better", timeout=0)
    state = await desk.alias("agent")
    assert list(state.barred) == [await made("C")]
    assert state.rollout is not None
    assert (state.rollout.candidate, state.rollout.version, state.version) == (await made("D"), 4, 4)
    assert state.split is None
    assert found.after == state.rollout
    told = [entry.action for entry in await aliases.history(desk.store, "agent", 2)]
    assert told == ["rollout_start", "rollout_abort"]


async def test_a_rollout_that_is_refused_supersedes_nothing(desk: Desk, made: Make, placed: Place) -> None:
    """Where the stakes refuse the new rollout, the one in progress goes on and its candidate is not barred."""
    before = await rolling(desk, await placed("grave", {"*": "AB"}), await made("C"), Phase.CANARY)
    wanted = msgspec.structs.replace(await order(desk, made, "D", supersede=True), alias="grave")
    with pytest.raises(Fault, match="rollout_state"):
        await rollouts.start(desk, wanted, "better", timeout=0)
    assert await desk.alias("grave") == before


async def test_a_shadow_that_cannot_be_is_refused_with_the_way_round(desk: Desk, made: Make, placed: Place) -> None:
    """Where the configuration lets no pair come about, the refusal names `skip_shadow`; at stakes high that is refused too."""
    await placed("agent", {"*": "AB"})
    with pytest.raises(Fault) as caught:
        await rollouts.start(desk, await order(desk, made, skip_shadow=""), "why", timeout=0)
    assert "skip_shadow" in caught.value.message
    await placed("grave", {"*": "AB"})
    wanted = msgspec.structs.replace(await order(desk, made), alias="grave")
    with pytest.raises(Fault, match="rollout_state"):
        await rollouts.start(desk, wanted, "why", timeout=0)


async def test_freeze_resume_abort(desk: Desk, made: Make, rolled: AliasState) -> None:
    """A person stops the widening, lets it go on, and ends it; weights stay until the end, and asking twice to end is harmless."""
    frozen = await rollouts.order(desk, "agent", Word.FREEZE, "looking", timeout=0)
    assert frozen.after is not None
    assert (frozen.after.phase, frozen.split_after) == (Phase.FROZEN, rolled.split)
    with pytest.raises(Fault, match="reason_missing"):
        await rollouts.order(desk, "agent", Word.RESUME, timeout=0)
    on = await rollouts.order(desk, "agent", Word.RESUME, "fine", timeout=0)
    assert on.after is not None
    assert (on.after.phase, on.after.since_ms) == (Phase.CANARY, desk.now_ms)
    ended = await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)
    assert (ended.split_after, ended.changed) == (None, True)
    assert not (await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)).changed
    with pytest.raises(Fault, match="rollout_state") as caught:
        await rollouts.order(desk, "agent", Word.APPROVE, timeout=0)
    assert "retry" in caught.value.message


async def test_abort_wins_where_an_approval_is_told(
    desk: Desk, rolled: AliasState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people at once: the first write counts. An abort that lost is tried again and holds, an approval that lost is refused."""
    assert rolled.rollout is not None
    waiting = msgspec.structs.replace(rolled.rollout, phase=Phase.AWAITING_APPROVAL, override="alice: test")
    state = await aliases.write(desk.store, rolled, machine.state_after(rolled, waiting, 3), desk.entry("x", "test"))
    write, read = aliases.write, type(desk).alias

    async def meanwhile(self: Desk, name: str) -> AliasState:
        monkeypatch.setattr(type(desk), "alias", read)
        before = await read(self, name)
        await write(desk.store, before, before, desk.entry("shadow_stop", "somebody else"))
        return before

    monkeypatch.setattr(type(desk), "alias", meanwhile)
    with pytest.raises(Fault, match="pointer_moved"):
        await rollouts.order(desk, "agent", Word.APPROVE, timeout=0)
    monkeypatch.setattr(type(desk), "alias", meanwhile)
    assert (await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)).changed
    after = await desk.alias("agent")
    assert after.version == state.version + 3
    assert after.rollout is not None
    assert after.rollout.phase is Phase.ABORTED


async def test_an_approval_looks_at_the_data_first(desk: Desk, made: Make, placed: Place) -> None:
    """What failed, tripped or went missing since the last round refuses an approval, with what it is; with clean numbers it counts."""
    state = await placed("agent", {"*": "AB"})
    c = await made("C")
    state = await rolling(desk, state, c, Phase.AWAITING_APPROVAL)
    with pytest.raises(Fault, match="rollout_state") as missing:
        await rollouts.order(desk, "agent", Word.APPROVE, timeout=0)
    assert "no longer counts" in missing.value.message
    assert state.rollout is not None
    answered = msgspec.structs.replace(state.rollout, override="alice: test")
    await aliases.write(desk.store, state, machine.state_after(state, answered, 3), desk.entry("x", "test"))
    stage = Theatre(desk, desk.now_ms)
    await stage.serve(9, bad=("error",))
    with pytest.raises(Fault, match="rollout_state") as caught:
        await rollouts.order(desk, "agent", Word.APPROVE, timeout=0)
    assert "error: a guardrail regressed" in caught.value.message
    assert await stage.phase() == ("awaiting_approval", 0)
    await desk.store.do("SET", desk.store.keys.rollout_counts("agent"), "broken")
    with pytest.raises(Fault):
        await rollouts.order(desk, "agent", Word.APPROVE, timeout=0)
    await desk.store.do("DEL", desk.store.keys.rollout_counts("agent"), desk.store.keys.events("agent"))
    await rollouts.order(desk, "agent", Word.APPROVE, timeout=0)
    assert await stage.phase() == ("canary", 1)


async def test_at_high_an_approval_answers_for_no_open_metric(
    desk: Desk, made: Make, placed: Place, tmp_path: Path
) -> None:
    """A metric that became inconclusive while a person was waited for: at stakes high only data lets the rollout go on."""
    desk = gated(desk, tmp_path, "grave")
    state, c = await placed("grave", {"*": "AB"}), await made("C")
    await proof(desk, "grave", c, state.lanes["*"].release)
    await rolling(desk, state, c, Phase.AWAITING_APPROVAL)
    stage = Theatre(desk, desk.now_ms)
    await stage.serve(2, 20, bad=("error",), alias="grave")
    with pytest.raises(Fault, match="rollout_state") as caught:
        await rollouts.order(desk, "grave", Word.APPROVE, "fine", timeout=0)
    assert "error: the stage is over, and the metric neither passes nor fails" in caught.value.message
    await desk.store.do("DEL", desk.store.keys.rollout_counts("grave"), desk.store.keys.events("grave"))
    await rollouts.order(desk, "grave", Word.APPROVE, "fine", timeout=0)
    assert await stage.phase("grave") == ("canary", 1)


@pytest.mark.parametrize("word", [Word.FREEZE, Word.ABORT])
async def test_a_store_that_goes_away_after_the_write(
    desk: Desk, rolled: AliasState, monkeypatch: pytest.MonkeyPatch, word: Word
) -> None:
    """An order that was written is told as carried out, also where the store answers nothing after that."""

    async def away(*_args: object, **_more: object) -> object:
        raise unavailable("away")

    write = aliases.write

    async def last(*args: Any, **more: Any) -> AliasState:
        stored = await write(*args, **more)
        for name in ("read", "read_many", "do", "script"):
            monkeypatch.setattr(desk.store, name, away)
        return stored

    monkeypatch.setattr(aliases, "write", last)
    moved = await rollouts.order(desk, "agent", word, "no", timeout=0)
    assert (moved.changed, moved.version) == (True, rolled.version + 1)
    assert moved.acknowledged.silent == ()
    monkeypatch.undo()
    assert (await desk.alias("agent")).version == moved.version


async def test_abort_during_promoting_wins(desk: Desk, made: Make, placed: Place) -> None:
    """With 95 % of runs on the candidate an abort still is one write to weight 0; the pointer was never moved."""
    state = await placed("agent", {"*": "AB"})
    await rolling(desk, state, await made("C"), Phase.PROMOTING)
    moved = await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)
    after = await desk.alias("agent")
    assert (moved.split_after, after.lanes) == (None, state.lanes)


async def test_retry_lifts_a_bar(desk: Desk, made: Make, rolled: AliasState) -> None:
    """The last candidate's bar by default, any other by name; what is not barred is left alone and said."""
    await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)
    assert not (await rollouts.retry(desk, "agent", "why", candidate=await made("D"), timeout=0)).changed
    assert (await rollouts.retry(desk, "agent", "fixed upstream", timeout=0)).changed
    state = await desk.alias("agent")
    assert state.barred == {}
    assert state.rollout is not None
    assert state.rollout.retried
    assert not (await rollouts.retry(desk, "agent", "again", timeout=0)).changed
    await rollouts.start(desk, await order(desk, made), "second try", timeout=0)


async def test_an_override_needs_a_name_where_the_stakes_do(desk: Desk, made: Make, placed: Place) -> None:
    """At standard a person's name and reason take the place of a GO and stay in the history; at high nothing does."""
    for alias in ("usual", "grave"):
        state = await placed(alias, {"*": "AB"})
        await rolling(desk, state, await made("C"), Phase.GATED)
    found = await rollouts.order(desk, "usual", Word.OVERRIDE, "we know it", name="bob", timeout=0)
    assert found.override == "bob: we know it"
    assert (await aliases.history(desk.store, "usual"))[0].override == "bob: we know it"
    with pytest.raises(Fault, match="rollout_state"):
        await rollouts.order(desk, "grave", Word.OVERRIDE, "we know it", name="bob", timeout=0)


async def test_status_says_what_it_waits_for_and_who_drives(desk: Desk, rolled: AliasState) -> None:
    """Phase, counts, evidence, what is missing and the command that helps, and that nobody drives while nobody does."""
    found = await rollouts.status(desk, "agent")
    assert found.rollout == rolled.rollout
    assert found.facts is not None
    assert [each.metric for each in found.facts.findings] == ["error"]
    assert Word.ABORT in found.possible
    assert found.heard_ms == -1
    assert "was heard ever" in found.warnings[0]
    await lease.hold(desk.store, "one")
    driven = await rollouts.status(desk, "agent")
    assert (driven.conductor, driven.warnings) == ("one", ())
    assert (await rollouts.status(desk, "agent")).stakes is Stakes.LOW


async def test_status_without_numbers_and_without_a_rollout(desk: Desk, placed: Place, rolled: AliasState) -> None:
    """Numbers that cannot be read are named and left out; an alias that never had a rollout says so by an empty one."""
    await desk.store.do("SET", desk.store.keys.rollout_counts("agent"), "broken")
    found = await rollouts.status(desk, "agent")
    assert found.facts is None
    assert "could not be read" in found.warnings[0]
    await placed("usual", {"*": "A"})
    none = await rollouts.status(desk, "usual")
    assert (none.rollout, none.waits, none.possible) == (None, (), ())
    with pytest.raises(Fault, match="rollout_none"):
        await rollouts.order(desk, "usual", Word.FREEZE, "x", timeout=0)


async def test_status_of_one_that_has_ended_keeps_its_numbers(desk: Desk, made: Make, rolled: AliasState) -> None:
    """What was counted stays to be read until the next rollout; before the canary there was nothing to count."""
    stage = Theatre(desk, desk.now_ms)
    await stage.serve(4, 76)
    await rollouts.status(desk, "agent")
    await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)
    found = await rollouts.status(desk, "agent")
    assert found.facts is not None
    assert found.facts.tally.units == {"* canary 500": 4, "* stable 500": 76}
    assert [(each.canary_units, each.control_units) for each in found.facts.findings] == [(4, 76)]
    assert found.warnings == ()
    await rollouts.start(desk, await order(desk, made, "D"), "other", timeout=0)
    await rollouts.order(desk, "agent", Word.ABORT, "no", timeout=0)
    assert (await rollouts.status(desk, "agent")).facts is None
