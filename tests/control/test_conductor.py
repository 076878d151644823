"""The loop that drives rollouts, on a real server with a clock of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.control import rollouts
from gateway.control.conductor import QUICK_SECONDS, Conductor
from gateway.control.desk import Desk
from gateway.control.facts import LOOK_MS
from gateway.core.contract.alias import AliasState, Stakes
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Step
from gateway.core.contract.pair import Side
from gateway.core.contract.rollout import Facts, Guardrail, Phase, Rollout, Word
from gateway.core.rollout import judge
from gateway.store import aliases, lease, pairs
from gateway.store.records import encode_entry
from tests.control.conftest import Make, Place
from tests.control.gates import ITEMS, gated, proof
from tests.control.rolling import PLAN, SECOND, Theatre, rolling
from tests.control.stored import keep, line
from tests.core.gate.evidences import flips
from tests.shadow.jobs import job

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(desk: Desk, placed: Place) -> Theatre:
    """Alias `agent`, stakes low, on release A with B before."""
    await placed("agent", {"*": "AB"})
    return Theatre(desk)


async def lapse(desk: Desk) -> None:
    """Make the holder's last word a minute old."""
    await desk.store.do("HINCRBY", desk.store.keys.control(), "at_ms", -60_000)


def loop_of(stage: Theatre, name: str) -> Conductor:
    """A loop that looks at every alias in every round."""
    return Conductor(stage.desks, name, list_seconds=0)


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
    loop = loop_of(stage, "one")
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


async def test_evidence_that_cannot_be_read_disarms_no_guardrail(
    desk: Desk, made: Make, placed: Place, tmp_path: Path
) -> None:
    """The gate's evidence is damaged, also that of another release, and the rollout is frozen for it: bad runs still take the
    candidate off, before the freeze and in it."""
    desk = gated(desk, tmp_path)
    a, c, d = await made("A"), await made("C"), await made("D")
    stage = Theatre(desk)
    for rounds in (0, judge.ERRORS):
        state = await placed("usual", {"*": "AB"}) if not rounds else await desk.alias("usual")
        state = await aliases.write(
            desk.store, state, msgspec.structs.replace(state, barred={}, rollout=None), desk.entry("test", "anew")
        )
        await rolling(desk, state, c, Phase.CANARY, id=f"{rounds:016}", override="alice: test")
        await proof(desk, "usual", d, a, note=str(rounds))
        for key in await desk.store.do("KEYS", "trivet:evidence:*"):
            await desk.store.do("SET", key, "{}")
        loop = loop_of(stage, str(rounds))
        for _ in range(rounds):
            stage.later(LOOK_MS)
            await loop.round()
        assert await stage.phase("usual") == ("frozen" if rounds else "canary", 0)
        await stage.serve(9, bad=("error",), alias="usual")
        stage.later(LOOK_MS)
        await loop.round()
        assert await stage.phase("usual") == ("rolled_back", 0)
        await loop.leave()


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.FROZEN, Phase.PROMOTING])
async def test_a_regression_rolls_back_in_every_phase_with_weight(stage: Theatre, made: Make, phase: Phase) -> None:
    """flagger#1801 and kin: bad runs on the candidate take it off in the round that sees them, also while a person is waited for, frozen,
    or promoting: weight 0, barred, the reason in words, the numbers, and how long ago the first bad event was."""
    c = await canary(stage, made, phase)
    loop = loop_of(stage, "one")
    await stage.serve(3)
    stage.later(400)
    count = 120 if phase is Phase.PROMOTING else 9  # with few runs in the control, it takes more to tell
    await stage.serve(count, bad=("error",))
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
    numbers, _, first = entry.note.partition("; ")
    assert re.fullmatch(r"error: \d+ of \d+ on the candidate against 0 of \d+, evidence \S+ of 20", numbers)
    assert first == "first bad event 0.25 s before"


async def test_a_takeover_goes_on_at_the_same_stage_with_the_same_counts(stage: Theatre, made: Make) -> None:
    """A second loop stands by while the first drives; when that falls silent in the middle of a stage the second goes on where it was:
    nothing is counted twice, nothing begins again."""
    await canary(stage, made)
    first, second = loop_of(stage, "one"), loop_of(stage, "two")
    await stage.serve(4, 76)
    done = await first.round()
    assert (done.leader, first.leads) == (True, True)
    assert (await second.round()).leader is False
    assert (await second.round()).facts == {}, "who stands by reads nothing"
    counted = done.facts["agent"].tally
    assert counted.units == {"* canary 500": 4, "* stable 500": 76}
    await lapse(stage.desk)
    taken = await second.round()
    assert taken.leader
    assert taken.facts["agent"].tally == counted
    state = await stage.desk.alias("agent")
    assert state.rollout is not None
    assert (await stage.phase(), state.version, state.rollout.since_ms) == (("canary", 0), 2, 1_700_000_000_000)
    await stage.due()
    assert [step.word for step in (await second.round()).steps] == [Word.ADVANCE]
    assert (await first.round()).leader is False
    assert not first.leads


async def test_a_paused_leader_cannot_widen_but_can_roll_back(
    stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that slept between its facts and its write, through a takeover: its advance is refused by the epoch and it steps back; a
    rollback it writes all the same, because that always wins."""
    await canary(stage, made)
    old, new = loop_of(stage, "one"), loop_of(stage, "two")
    await old.round()
    await stage.due()
    write = aliases.write

    async def asleep(*args: Any, **more: Any) -> AliasState:
        monkeypatch.setattr(aliases, "write", write)
        await lapse(stage.desk)
        held = await lease.hold(stage.desk.store, "two")
        await lease.fence(stage.desk.store, ["agent"], held.term)
        return await write(*args, **more)

    monkeypatch.setattr(aliases, "write", asleep)
    assert (await old.round()).steps == []
    assert not old.leads
    assert await stage.phase() == ("canary", 0)
    assert [step.word for step in (await new.round()).steps] == [Word.ADVANCE]
    assert await stage.phase() == ("canary", 1)
    await lapse(stage.desk)
    third = loop_of(stage, "three")
    await third.round()
    await stage.serve(9, bad=("error",))
    monkeypatch.setattr(aliases, "write", asleep)
    assert [step.word for step in (await third.round()).steps] == [Word.REGRESSION]


async def test_a_step_that_lost_a_race_waits_and_a_rollback_does_not(
    stage: Theatre, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes between facts and write: an advance is left to the next round, a regression is judged anew and written at once."""
    await canary(stage, made)
    loop = loop_of(stage, "one")
    write = aliases.write

    async def meanwhile(*args: Any, **more: Any) -> AliasState:
        monkeypatch.setattr(aliases, "write", write)
        state = await stage.desk.alias("agent")
        await write(stage.desk.store, state, state, stage.desk.entry("shadow_stop", "somebody else"))
        return await write(*args, **more)

    await stage.due()
    monkeypatch.setattr(aliases, "write", meanwhile)
    assert (await loop.round()).steps == []
    assert [step.word for step in (await loop.round()).steps] == [Word.ADVANCE]
    await stage.serve(9, bad=("error",))
    monkeypatch.setattr(aliases, "write", meanwhile)
    assert [step.word for step in (await loop.round()).steps] == [Word.REGRESSION]


async def test_an_abort_between_two_rounds_stands(stage: Theatre, made: Make) -> None:
    """What a person ended is not taken up again, whatever the data says, and no other alias waits for it."""
    await canary(stage, made, Phase.PROMOTING)
    loop = loop_of(stage, "one")
    await loop.round()
    await rollouts.order(stage.desk, "agent", Word.ABORT, "no", timeout=0)
    stage.later(10 * SECOND)
    assert (await loop.round()).steps == []
    assert (await stage.phase())[0] == "aborted"


async def test_facts_that_cannot_be_read_freeze_after_five(stage: Theatre, made: Make, placed: Place) -> None:
    """Four failures in a row are waited out, the fifth freezes; other aliases are driven all the while, and readings that come back
    let it go on by itself."""
    await canary(stage, made)
    await placed("usual", {"*": "AB"})
    state = await stage.desk.alias("usual")
    await rolling(stage.desk, state, await made("C"), Phase.CANARY, override="alice: test")
    counts = stage.desk.store.keys.rollout_counts("agent")
    await stage.desk.store.do("SET", counts, "broken")
    loop = loop_of(stage, "one")
    for _ in range(4):
        done = await loop.round()
        assert (done.steps, list(done.facts)) == ([], ["usual"])
    assert [(step.alias, step.causes) for step in (await loop.round()).steps] == [("agent", ("analysis_error",))]
    assert (await stage.phase())[0] == "frozen"
    await stage.desk.store.do("DEL", counts)
    assert [step.word for step in (await loop.round()).steps] == [Word.CLEARED]


async def test_epochs_above_the_term_are_climbed_over(stage: Theatre, made: Make) -> None:
    """When the lease was lost with the store and the aliases came back from a copy, the loop lifts its term and drives on."""
    await canary(stage, made)
    await stage.desk.store.do("HSET", stage.desk.store.keys.alias("agent"), "epoch", 41)
    await stage.due()
    loop = loop_of(stage, "one")
    assert (await loop.round()).steps == []
    assert [step.word for step in (await loop.round()).steps] == [Word.ADVANCE]
    assert (await stage.desk.alias("agent")).epoch == 42


async def test_leaving_hands_over_at_once(stage: Theatre, made: Make) -> None:
    """A loop that ends in order gives the lease back: the next round of another leads, without waiting for the lease to run out."""
    await canary(stage, made)
    first, second = loop_of(stage, "one"), loop_of(stage, "two")
    assert (await first.round()).pause == QUICK_SECONDS
    await second.leave()
    await first.leave()
    assert (await second.round()).leader


async def test_thresholds_are_fixed_in_the_write_that_enters_the_canary(stage: Theatre, made: Make) -> None:
    """p95 of the incumbent's last steps is in the rollout from the first exposure on, and stays what it was."""
    a, c = await made("A"), await made("C")
    for number in range(120):
        step = Step(f"q{number}", 1, "agent", a, "agent", "m", "m", Outcome.OK, 200, stage.now_ms, float(number + 1))
        await stage.desk.store.do("XADD", stage.desk.store.keys.steps("agent"), "*", "entry", encode_entry(step))
    plan = msgspec.structs.replace(PLAN, guardrails=(*PLAN.guardrails, Guardrail("latency_ms", above="p95")))
    order = rollouts.Order("agent", c, plan, skip_shadow="nothing to compare yet")
    await rollouts.start(stage.desk, order, "new model", timeout=0)
    found = await rollouts.order(stage.desk, "agent", Word.OVERRIDE, "by hand", timeout=0)
    assert found.after is not None
    assert found.after.limits == {"latency_ms": 114.05}
    await stage.due()
    assert [step.word for step in (await loop_of(stage, "one").round()).steps] == [Word.ADVANCE]
    after = (await stage.desk.alias("agent")).rollout
    assert after is not None
    assert after.limits == {"latency_ms": 114.05}


async def test_between_two_lists_only_rollouts_in_progress_are_read(stage: Theatre, made: Make) -> None:
    """A rollout that began is noticed with the next list; one that is known is read in every round."""
    loop = Conductor(stage.desks, "one", list_seconds=60)
    await loop.round()
    await canary(stage, made)
    assert (await loop.round()).facts == {}
    loop = Conductor(stage.desks, "one", list_seconds=60)
    await loop.round()
    await rollouts.order(stage.desk, "agent", Word.FREEZE, "look", timeout=0)
    found = (await loop.round()).states["agent"].rollout
    assert found is not None
    assert found.phase is Phase.FROZEN


async def test_one_that_breaks_keeps_nobody_waiting(
    stage: Theatre, made: Make, placed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias whose record is of another version is left out, and one that raises what nobody expected is frozen after five rounds; the
    others are driven."""
    await canary(stage, made)
    for name in ("usual", "grave"):
        state = await placed(name, {"*": "AB"})
    await rolling(stage.desk, await stage.desk.alias("usual"), await made("C"), Phase.CANARY, override="alice: test")
    await stage.desk.store.do("HSET", stage.desk.store.keys.alias("grave"), "rollout", "{")
    due = judge.due

    def broken(rollout: Rollout, facts: Facts, stakes: Stakes) -> judge.Due | None:
        if stakes is Stakes.LOW and not facts.errors:
            raise ZeroDivisionError
        return due(rollout, facts, stakes)

    monkeypatch.setattr(judge, "due", broken)
    loop = loop_of(stage, "one")
    steps = [step for _ in range(5) for step in (await loop.round()).steps]
    assert [(step.alias, step.causes) for step in steps] == [("agent", ("analysis_error",))]
    assert sorted((await loop.round()).facts) == ["agent", "usual"]
    assert state.name == "grave"


async def test_shadow_and_gate_on_the_way_to_the_canary(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """Enough trios lead to the gate, a green gate to the canary, each in the round that sees it and with what it rests on; a gate that
    turns red freezes, and one that is green again goes on by itself."""
    desk = gated(desk, tmp_path)
    keyed = {name: msgspec.structs.replace(each, api_key="own") for name, each in desk.settings.providers.items()}
    desk = replace(desk, settings=msgspec.structs.replace(desk.settings, capture="hashes", providers=keyed))
    await placed("usual", {"*": "AB"})
    a, c = await made("A"), await made("C")
    stage = Theatre(desk, desk.now_ms)
    await rollouts.start(desk, rollouts.Order("usual", c, PLAN, acknowledged=True), "new model", timeout=0)
    loop = loop_of(stage, "one")
    for number in range(5):
        assert (await loop.round()).steps == []
        more = {"secondary": Side(a, "openai/m", 200), "alias": "usual", "at_ms": stage.now_ms}
        await keep(desk.store, number, (a, c), **more)
        stage.later(LOOK_MS)
    assert [step.word for step in (await loop.round()).steps] == [Word.SHADOWED]
    state = await desk.alias("usual")
    assert state.rollout is not None
    assert (state.rollout.phase, len(state.rollout.shadow_report), state.shadows) == (Phase.GATED, 64, ())
    stage.later(LOOK_MS)
    assert (await loop.round()).steps == [], "time alone opens no gate"
    await proof(replace(desk, now_ms=stage.now_ms), "usual", c, a)
    stage.later(LOOK_MS)
    assert [step.word for step in (await loop.round()).steps] == [Word.GO]
    state = await desk.alias("usual")
    assert state.rollout is not None
    assert state.rollout.phase is Phase.CANARY
    entry = (await aliases.history(desk.store, "usual"))[0]
    assert entry.evidence == " ".join(state.rollout.evidence) != ""
    await proof(replace(desk, now_ms=stage.now_ms), "usual", c, a, scores=flips(ITEMS, 20), ended_ms=stage.now_ms)
    stage.later(LOOK_MS)
    assert [step.causes for step in (await loop.round()).steps] == [("gate_no_go",)]
    await proof(replace(desk, now_ms=stage.now_ms), "usual", c, a, ended_ms=stage.now_ms)
    stage.later(LOOK_MS)
    assert [step.word for step in (await loop.round()).steps] == [Word.CLEARED]


async def test_a_candidate_that_fails_in_shadow_is_aborted(desk: Desk, made: Make, placed: Place) -> None:
    """Failed calls above what the plan tolerates end it before anybody was exposed, and bar the candidate."""
    state = await placed("agent", {"*": "AB"})
    a, c = await made("A"), await made("C")
    await rolling(desk, state, c, Phase.SHADOWING)
    for number in range(3):
        told = job(number, pair=f"p{number}", primary=a, candidate=c, alias="agent", at_ms=desk.now_ms)
        broke = msgspec.structs.replace(line(told), candidate=Side(c, "m", 500, "server_error"))
        await pairs.finish(desk.store, "agent", c, broke, desk.now_ms)
    done = await loop_of(Theatre(desk, desk.now_ms), "one").round()
    assert [(step.word, step.phase) for step in done.steps] == [(Word.SHADOW_FAILED, Phase.ABORTED)]
    assert list((await desk.alias("agent")).barred) == [c]
