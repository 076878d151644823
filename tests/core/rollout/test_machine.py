"""Turning a rollout: every phase, word and stakes, and what the alias looks like afterwards."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane, Shadow, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import EXPOSED, Phase, Plan, Rollout, Stage, Word
from gateway.core.rollout.machine import (
    begin,
    holds,
    needs_approval,
    possible,
    state_after,
    turn,
    unbarred,
    warning,
    weights,
    where,
)
from gateway.core.rollout.table import ROWS, Back, Effect, Guard, rows, sentence
from tests.core.rollout.walk import HIGH, HOUR, LOW, PLAN, STANDARD, STATE, at, draft, say

FREE_FIRST = PLAN
ASKS_FIRST = msgspec.structs.replace(PLAN, stages=(Stage("*", 100, HOUR, 10, approve=True),))


@pytest.mark.parametrize("phase", Phase)
def test_every_cell(phase: Phase) -> None:
    """A word does what its row says, or raises 409 that names the phase and what is possible, and changes nothing."""
    for word, stakes in product(Word, Stakes):
        one_cell(phase, word, stakes)


def one_cell(phase: Phase, word: Word, stakes: Stakes) -> None:
    """One phase, one word, one kind of stakes, against the table."""
    rollout = at(phase)
    found = [row for row in rows(phase, word) if holds(row.when, rollout, word, stakes)]
    assert len(found) <= 1
    if not found or found[0].guard[stakes] is Guard.REFUSED:
        with pytest.raises(Fault) as caught:
            say(rollout, word, stakes)
        assert (caught.value.status, caught.value.code) == (409, "rollout_state")
        assert phase.value in caught.value.message
        assert all(each.value in caught.value.message for each in possible(rollout, stakes))
        assert word not in possible(rollout, stakes)
        assert rollout == at(phase)
        return
    after = say(rollout, word, stakes)
    row = found[0]
    expected = {Back.SAME: phase, Back.CAME_FROM: rollout.frozen_from}.get(row.to, row.to)  # type: ignore[call-overload]
    assert after.phase is expected
    assert after.at == rollout.at + (Effect.NEXT in row.effects)
    assert after.since_ms == (1 if Effect.CLOCK in row.effects else 0)
    assert (after.id, after.plan, after.candidate, after.version) == (
        rollout.id,
        rollout.plan,
        rollout.candidate,
        rollout.version,
    )


@pytest.mark.parametrize("stakes", Stakes)
@pytest.mark.parametrize("phase", Phase)
def test_effects_are_what_the_alias_shows(phase: Phase, stakes: Stakes) -> None:
    """What a row tells of weights, shadow, pointers and bar is what the alias looks like after it."""
    rollout = at(phase)
    before = state_after(STATE, rollout, 3)
    for row in (row for row in ROWS if phase in row.of and holds(row.when, rollout, row.word, stakes)):
        if row.guard[stakes] is Guard.REFUSED:
            continue
        after = state_after(before, say(rollout, row.word, stakes), 3)
        share = {name: split.weights if split else {} for name, split in (("a", before.split), ("b", after.split))}
        if Effect.HOLD in row.effects:
            assert share["a"] == share["b"]
            assert before.lanes == after.lanes
        if Effect.ZERO in row.effects:
            assert after.split is None
        assert ("rel_new" in after.barred) == (Effect.BAR in row.effects)
        if Effect.SHADOW in row.effects:
            assert [entry.candidate for entry in after.shadows] == ["rel_new"]
        if Effect.UNSHADOW in row.effects:
            assert after.shadows == ()
        assert (after.lanes["*"].release == "rel_new") == (Effect.POINTER in row.effects)
        assert after.lanes["tenant:vip"] == STATE.lanes["tenant:vip"]


@pytest.mark.parametrize("stakes", Stakes)
@pytest.mark.parametrize("row", [row for row in ROWS if row.guard[HIGH] is not Guard.FREE], ids=lambda row: row.word)
def test_guards_ask(row: object, stakes: Stakes) -> None:
    """Without the reason or the name that the stakes ask for, 400 says so."""
    assert row in ROWS
    row = next(each for each in ROWS if each == row)
    causes = {Word.ACCEPT: ("inconclusive:error",), Word.OVERRIDE: ("gate_missing",), Word.RESUME: ("drift",)}
    more = {"causes": causes[row.word]} if row.of == (Phase.FROZEN,) else {}
    rollout = at(row.of[0], **more)
    guard = row.guard[stakes]
    for reason, actor, missing in (("", "alice", {Guard.REASON, Guard.NAMED}), ("x", "", {Guard.NAMED})):
        if guard in missing:
            with pytest.raises(Fault) as caught:
                turn(rollout, row.word, now_ms=1, stakes=stakes, reason=reason, actor=actor)
            assert caught.value.status == 400
        elif guard is not Guard.REFUSED:
            turn(rollout, row.word, now_ms=1, stakes=stakes, reason=reason, actor=actor)


def test_stakes_decide_about_shadow_and_go() -> None:
    """Low skips the shadow and goes without a GO, with a warning; standard wants a reason and a name; high refuses both."""
    assert say(draft(), Word.SKIP_SHADOW, LOW, reason="").phase is Phase.GATED
    assert say(draft(), Word.SKIP_SHADOW, STANDARD, reason="tiny change").skip_shadow == "tiny change"
    overridden = say(at(Phase.GATED), Word.OVERRIDE, STANDARD, override="bob", reason="known")
    assert overridden.override == "bob: known"
    assert say(at(Phase.GATED), Word.OVERRIDE, LOW, actor="", reason="").override
    assert "GO" in warning(at(Phase.GATED), Word.OVERRIDE, LOW)
    assert warning(at(Phase.GATED), Word.OVERRIDE, STANDARD) == ""
    for rollout, word in ((draft(), Word.SKIP_SHADOW), (at(Phase.GATED), Word.OVERRIDE)):
        assert word not in possible(rollout, HIGH)
        with pytest.raises(Fault, match="rollout_state") as caught:
            say(rollout, word, HIGH)
        assert "stakes `high`" in caught.value.message


def test_high_always_asks_before_promoting() -> None:
    """At high a person approves before promoting, whatever the plan says; below only where the plan says so."""
    last = len(PLAN.stages)
    rollout = at(Phase.CANARY, at=last - 1)
    assert say(rollout, Word.ADVANCE, STANDARD).phase is Phase.PROMOTING
    assert say(rollout, Word.ADVANCE, HIGH).phase is Phase.AWAITING_APPROVAL
    asking = msgspec.structs.replace(PLAN, promoting=msgspec.structs.replace(PLAN.promoting, approve=True))
    assert needs_approval(at(Phase.CANARY, asking), last, LOW)
    done = say(say(rollout, Word.ADVANCE, HIGH), Word.APPROVE, HIGH)
    assert (done.phase, done.approved, done.at) == (Phase.PROMOTING, (last,), last)


def test_an_approval_before_the_first_stage() -> None:
    """A GO to a first stage that needs approval exposes nobody until it is given."""
    waiting = say(at(Phase.GATED, ASKS_FIRST), Word.GO)
    assert (waiting.phase, waiting.at, weights(waiting)) == (Phase.AWAITING_APPROVAL, -1, {})
    assert weights(say(waiting, Word.APPROVE)) == {"*": 100}


@pytest.mark.parametrize(
    ("phase", "stage", "expected"),
    [
        (Phase.CANARY, 0, {"segment:internal": 1000}),
        (Phase.CANARY, 1, {"segment:internal": 5000}),
        (Phase.CANARY, 3, {"segment:internal": 5000, "*": 2500}),
        (Phase.AWAITING_APPROVAL, 2, {"segment:internal": 5000, "*": 100}),
        (Phase.FROZEN, 2, {"segment:internal": 5000, "*": 100}),
        (Phase.PROMOTING, 4, {"segment:internal": 9500, "*": 9500}),
        (Phase.FROZEN, 4, {"segment:internal": 9500, "*": 9500}),
        (Phase.GATED, -1, {}),
        (Phase.ABORTED, 2, {}),
        (Phase.COMPLETED, 4, {}),
    ],
)
def test_weights_are_a_function_of_the_rollout(phase: Phase, stage: int, expected: dict[str, int]) -> None:
    """Lanes before the current one keep their last weight, later ones have no part; a freeze and a wait keep what was."""
    rollout = at(phase, at=stage)
    assert weights(rollout) == expected
    split = state_after(STATE, rollout, 3).split
    assert (split.weights if split else {}) == expected
    assert split is None or (split.candidate, split.salt, split.since) == ("rel_new", rollout.id, STATE.version + 1)


def test_completed_moves_every_lane_once() -> None:
    """At completion every lane of the rollout points at the candidate, the old stable is its first way back, others stay."""
    state = state_after(STATE, at(Phase.COMPLETED), 3)
    assert state.lanes["*"] == Lane("rel_new", ("rel_old", "rel_older"))
    assert state.lanes["segment:internal"] == Lane("rel_new", ("rel_old", "rel_older"))
    assert state.lanes["tenant:vip"] == STATE.lanes["tenant:vip"]
    assert (state.split, state.barred) == (None, {})
    back = state_after(state, say(at(Phase.COMPLETED), Word.ROLLBACK), 3)
    assert back.lanes["*"].release == "rel_old"
    assert back.lanes["*"].rolled_back == "rel_new"
    assert "rel_new" in back.barred


def test_a_lifted_bar_moves_nothing() -> None:
    """After a retry the candidate may be made stable by hand, and nothing takes it back."""
    why = sentence("guardrail:error")
    ended = at(Phase.ROLLED_BACK, causes=("guardrail:error",), reason=why)
    state = state_after(STATE, ended, 3)
    assert state.barred["rel_new"] == f"rolled_back: {why}"  # and not the same again as its reason
    retried = say(ended, Word.RETRY)
    moved = msgspec.structs.replace(state, lanes={**state.lanes, "*": Lane("rel_new", ("rel_old",))})
    after = state_after(moved, retried, 3)
    assert (after.barred, after.lanes["*"].release) == ({}, "rel_new")
    assert unbarred(state, "rel_new").barred == {}
    assert unbarred(state, "rel_new").rollout == msgspec.structs.replace(ended, retried=True)
    assert unbarred(STATE, "rel_new") == STATE


def test_the_shadow_of_somebody_else_stays() -> None:
    """A shadow of the candidate that was there before is used and left alone; others are never touched."""
    theirs = Shadow("rel_new", "aaaa")
    other = Shadow("rel_third", "bbbb")
    shadowing = say(draft(), Word.START)
    state = msgspec.structs.replace(STATE, shadows=(other, theirs))
    assert state_after(state, shadowing, 3).shadows == (other, theirs)
    assert state_after(state, say(shadowing, Word.SHADOWED), 3).shadows == (other, theirs)
    own = state_after(msgspec.structs.replace(STATE, shadows=(other,)), shadowing, 3)
    assert [(entry.candidate, entry.salt) for entry in own.shadows] == [("rel_third", "bbbb"), ("rel_new", draft().id)]
    frozen = say(shadowing, Word.FREEZE)
    assert state_after(own, frozen, 3).shadows == own.shadows
    assert state_after(own, say(shadowing, Word.SHADOWED), 3).shadows == (other,)


def test_a_freeze_gathers_causes_and_keeps_the_clock() -> None:
    """More causes join those that are there; where it came from, its stage and its clock stay."""
    rollout = at(Phase.CANARY, since_ms=5)
    frozen = say(rollout, Word.FREEZE, causes=("signal:refusal",), now_ms=9)
    again = say(frozen, Word.FREEZE, causes=("signal:refusal", "drift"), now_ms=11)
    assert again.causes == ("signal:refusal", "drift")
    assert (again.frozen_from, again.frozen_ms, again.since_ms, again.at) == (Phase.CANARY, 9, 5, rollout.at)
    back = say(again, Word.RESUME, now_ms=20)
    assert (back.phase, back.since_ms, back.at, back.causes) == (Phase.CANARY, 5, rollout.at, ())
    assert back.waived == ("signal:refusal", "drift")
    twice = say(say(back, Word.FREEZE, causes=("sample_ratio",)), Word.RESUME)
    assert twice.waived == ("signal:refusal", "drift", "sample_ratio")
    assert say(back, Word.ADVANCE).waived == ()
    assert say(rollout, Word.FREEZE).causes == ("operator",)


def test_an_event_that_was_resumed_is_not_told_again() -> None:
    """The next stage is frozen again by a signal that still fails, but not by the very trip or template that a person resumed from."""
    waived = ("signal:refusal", "tripwire:model_gone=1", "undeclared:abc", "drift")
    after = say(at(Phase.CANARY, waived=waived), Word.ADVANCE)
    assert after.waived == ("tripwire:model_gone=1", "undeclared:abc")


def test_a_word_lifts_only_its_own_causes() -> None:
    """Resume lifts no inconclusive result and no missing GO; what is left keeps it frozen, and the message says what helps."""
    frozen = at(Phase.FROZEN, causes=("drift", "inconclusive:error", "gate_missing"))
    one = say(frozen, Word.RESUME)
    assert (one.phase, one.causes) == (Phase.FROZEN, ("inconclusive:error", "gate_missing"))
    two = say(one, Word.ACCEPT)
    assert (two.phase, two.causes, two.accepted) == (Phase.FROZEN, ("gate_missing",), (1,))
    with pytest.raises(Fault) as caught:
        say(two, Word.RESUME)
    assert "no longer counts" in caught.value.message
    assert "override" in caught.value.message
    three = say(two, Word.OVERRIDE, override="bob")
    assert (three.phase, three.causes, three.waived) == (Phase.CANARY, (), ("drift",))


def test_evidence_and_limits() -> None:
    """Evidence is gathered without repeats; thresholds are fixed before anybody is exposed and never move after."""
    gone = say(at(Phase.GATED), Word.GO, evidence=("a", "b"), limits={"latency_ms": 900.0})
    assert (gone.evidence, gone.limits) == (("a", "b"), {"latency_ms": 900.0})
    later = say(gone, Word.ADVANCE, evidence=("b", "c"), limits={"latency_ms": 9000.0}, report="x")
    assert (later.evidence, later.limits, later.shadow_report) == (("a", "b", "c"), {"latency_ms": 900.0}, "x")


@pytest.mark.parametrize(
    ("state", "candidate", "code", "status"),
    [
        (msgspec.structs.replace(STATE, rollout=at(Phase.CANARY)), "rel_new", "rollout_active", 409),
        (msgspec.structs.replace(STATE, barred={"rel_new": "why"}), "rel_new", "candidate_barred", 409),
        (STATE, "rel_old", "candidate_stable", 409),
        (
            msgspec.structs.replace(STATE, lanes={**STATE.lanes, "segment:internal": Lane("rel_x")}),
            "rel_new",
            "lanes_differ",
            409,
        ),
        (AliasState("support", 1, {"tenant:vip": Lane("rel_old")}), "rel_new", "lane_unknown", 404),
    ],
)
def test_begin_refuses(state: AliasState, candidate: str, code: str, status: int) -> None:
    """One rollout at a time, of a candidate that is not barred nor stable, in lanes that share one incumbent."""
    with pytest.raises(Fault) as caught:
        begin(state, PLAN, candidate, identifier="0" * 16, now_ms=0)
    assert (caught.value.code, caught.value.status) == (code, status)


def test_begin_after_an_end() -> None:
    """A rollout that ended is no obstacle; lanes without a pointer of their own get that of everybody."""
    state = msgspec.structs.replace(STATE, rollout=at(Phase.ABORTED))
    made = begin(state, PLAN, "rel_new", identifier="1" * 16, now_ms=7)
    assert (made.phase, made.incumbent, made.lanes, made.at) == (
        Phase.DRAFT,
        "rel_old",
        ("segment:internal", "*"),
        -1,
    )
    assert state_after(state, made, 3).lanes["segment:internal"] == STATE.lanes["*"]


@pytest.mark.parametrize("phase", Phase)
def test_where_names_phase_and_stage(phase: Phase) -> None:
    """Users read the phase, and within a stage its number, share and lane."""
    told = where(at(phase))
    assert told.startswith(phase.value)
    assert ("%" in told) == (phase in EXPOSED)
    assert where(at(Phase.CANARY)) == "canary, stage 1 of 4: 10 % of segment:internal"


def walked(plan: Plan, stakes: Stakes) -> Rollout:
    """A rollout by words alone, to its end."""
    rollout = say(say(say(draft(plan), Word.START), Word.SHADOWED), Word.GO, stakes)
    while not rollout.ended:
        rollout = say(rollout, Word.APPROVE if rollout.phase is Phase.AWAITING_APPROVAL else Word.ADVANCE, stakes)
    return rollout


@pytest.mark.parametrize(("plan", "stakes"), list(product((FREE_FIRST, ASKS_FIRST), Stakes)))
def test_the_whole_way(plan: Plan, stakes: Stakes) -> None:
    """From draft to completed at any stakes; approvals were given where plan and stakes ask."""
    rollout = walked(plan, stakes)
    assert rollout.phase is Phase.COMPLETED
    asked = [i for i in range(len(plan.stages) + 1) if needs_approval(rollout, i, stakes)]
    assert list(rollout.approved) == asked
