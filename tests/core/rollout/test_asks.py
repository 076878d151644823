"""What users of the existing tools ask for, each row that the pure core decides. The issue each row is from stands in its test.

Rows that need more than the core (a pointer flip past a new analysis, counters by reason, each number from its release) are tested
where they are built.
"""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.alias import Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import (
    TERMINAL,
    Action,
    Facts,
    GateFacts,
    Guardrail,
    Phase,
    Rollout,
    Tally,
    Verdict,
    Word,
)
from gateway.core.rollout.judge import Due, due
from gateway.core.rollout.machine import begin, possible, state_after, turn, weights
from gateway.core.rollout.table import LIVING
from tests.core.rollout.walk import GO, HOUR, PLAN, STANDARD, STATE, at, finding, findings, ready, say

DAY = 24 * HOUR


def follow(rollout: Rollout, facts: Facts, stakes: Stakes = STANDARD, rounds: int = 1) -> Rollout:
    """The rollout after the control process looked at the same facts so many times."""
    for _ in range(rounds):
        word = due(rollout, facts, stakes)
        if word is not None:
            rollout = turn(rollout, word.word, now_ms=facts.now_ms, stakes=stakes, causes=word.causes)
    return rollout


@pytest.mark.parametrize("phase", [Phase.AWAITING_APPROVAL, Phase.FROZEN])
def test_flagger_1801_a_waiting_rollout_still_rolls_back(phase: Phase) -> None:
    """While it waits for a person, a breached threshold rolls back by itself."""
    waiting = at(phase)
    after = follow(waiting, ready(waiting, findings=findings(error=Verdict.FAIL)))
    assert after.phase is Phase.ROLLED_BACK
    assert state_after(STATE, after, 3).split is None


def test_flagger_616_going_back_starts_no_new_analysis() -> None:
    """A rollback after promotion is a move of pointers: no stage, no gate, no split."""
    done = state_after(STATE, at(Phase.COMPLETED), 3)
    back = state_after(done, say(at(Phase.COMPLETED), Word.ROLLBACK), 3)
    assert (back.lanes["*"].release, back.split) == ("rel_old", None)
    assert (
        due(msgspec.structs.replace(at(Phase.COMPLETED), phase=Phase.ROLLED_BACK), ready(at(Phase.CANARY)), STANDARD)
        is None
    )


@pytest.mark.parametrize("phase", [*LIVING, Phase.COMPLETED])
def test_flagger_413_rollback_works_in_every_state(phase: Phase) -> None:
    """A person can roll back from every phase that lives, and after completion."""
    assert say(at(phase), Word.ROLLBACK).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("name", ["flagger_883", "flagger_1035", "flagger_1098"])
def test_flagger_1035_no_traffic_is_neither_zero_nor_a_pass(name: str) -> None:
    """Without traffic a stage is never passed, however long: it waits, freezes for want of data, and ends at its deadline."""
    silent = {
        "flagger_883": Facts(0, gate=GO),
        "flagger_1035": Facts(0, findings=findings(Verdict.NO_DATA, Verdict.NO_DATA), gate=GO),
        "flagger_1098": Facts(0, findings=findings(), gate=GO),
    }[name]
    rollout = at(Phase.CANARY)
    for hours in range(0, 24 * 9, 6):
        rollout = follow(rollout, msgspec.structs.replace(silent, now_ms=hours * HOUR), rounds=3)
        assert weights(rollout) in ({"segment:internal": 1000}, {})
        if 24 < hours < 7 * 24:
            assert rollout.causes == ("no_units",)
    assert (rollout.phase, rollout.causes) == (Phase.EXPIRED, ("deadline",))


def test_flagger_1035_seen_runs_without_an_observation_do_not_pass() -> None:
    """Runs were seen but the metric was not: no data, frozen, not promoted."""
    rollout = at(Phase.CANARY)
    after = follow(rollout, ready(rollout, findings=findings(error=Verdict.NO_DATA)), rounds=5)
    assert (after.phase, after.causes, after.at) == (Phase.FROZEN, ("no_data:error",), 0)


def test_flagger_738_approvals_expire() -> None:
    """An approval that nobody gives is not waited for for ever: weight 0, and the candidate is barred."""
    waiting = at(Phase.AWAITING_APPROVAL)
    still = follow(waiting, ready(waiting, now_ms=PLAN.approval_ms))
    assert still.phase is Phase.AWAITING_APPROVAL
    over = follow(waiting, ready(waiting, now_ms=PLAN.approval_ms + 1))
    assert (over.phase, over.causes, weights(over)) == (Phase.EXPIRED, ("approval",), {})
    assert "rel_new" in state_after(STATE, over, 3).barred


def test_argo_3850_inconclusive_is_sticky() -> None:
    """An inconclusive result stays so however often it is looked at and however long; only new data or a person goes on."""
    rollout = at(Phase.CANARY)
    facts = ready(rollout, findings=findings(error=Verdict.INCONCLUSIVE))
    for hours in range(3, 160, 12):
        now = hours * HOUR
        moving = msgspec.structs.replace(facts.tally, newest_ms=now)
        rollout = follow(rollout, msgspec.structs.replace(facts, now_ms=now, tally=moving), rounds=4)
        assert (rollout.phase, rollout.at, rollout.causes) == (Phase.FROZEN, 0, ("inconclusive:error",))
    with pytest.raises(Fault, match="rollout_state"):
        say(rollout, Word.RESUME)
    assert follow(rollout, msgspec.structs.replace(facts, findings=findings()), rounds=2).at == 1


def test_argo_261_what_was_accepted_does_not_pause_again() -> None:
    """A person who accepts an inconclusive stage is asked once: it goes on, and the next stage is judged by itself."""
    rollout = at(Phase.CANARY)
    facts = ready(rollout, findings=findings(error=Verdict.INCONCLUSIVE))
    accepted = say(follow(rollout, facts), Word.ACCEPT)
    assert (accepted.phase, accepted.accepted) == (Phase.CANARY, (0,))
    nxt = follow(accepted, facts)
    assert (nxt.phase, nxt.at) == (Phase.CANARY, 1)
    again = follow(nxt, msgspec.structs.replace(facts, now_ms=9 * HOUR))
    assert (again.phase, again.causes) == (Phase.FROZEN, ("inconclusive:error",))


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Action.ROLLBACK, Phase.ROLLED_BACK),
        (Action.FREEZE, Phase.FROZEN),
        (Action.OBSERVE, Phase.CANARY),
    ],
)
def test_argo_2866_each_metric_has_its_own_action(action: Action, expected: Phase) -> None:
    """The same failure rolls back, pauses, or is only reported, as the plan says for the metric."""
    rollout = at(Phase.CANARY)
    found = finding("latency_ms", Verdict.FAIL, action)
    assert follow(rollout, ready(rollout, findings=(*findings(), found))).phase is expected


@pytest.mark.parametrize("verdict", Verdict)
def test_argo_303_an_observed_metric_never_decides(verdict: Verdict) -> None:
    """A metric that is only observed neither stops nor delays anything, whatever it says or if it is never seen."""
    plan = msgspec.structs.replace(PLAN, guardrails=(*PLAN.guardrails, Guardrail("outcome.mood", Action.OBSERVE)))
    rollout = at(Phase.CANARY, plan)
    found = finding("outcome.mood", verdict, Action.OBSERVE)
    assert due(rollout, ready(rollout, findings=(*findings(), found)), STANDARD) == Due(
        Word.ADVANCE, evidence=GO.evidence
    )


def test_argo_1905_pauses_without_a_value_and_goes_on_with_one() -> None:
    """A metric without a value holds the stage; when it has one, the rollout goes on by itself."""
    rollout = at(Phase.CANARY)
    held = follow(rollout, ready(rollout, findings=findings(refusal=Verdict.NO_DATA)))
    assert (held.phase, held.causes) == (Phase.FROZEN, ("no_data:refusal",))
    assert follow(held, ready(held), rounds=2).at == 1


def test_argo_222_acts_before_the_stage_ends() -> None:
    """A regression is acted on in the first minute of a stage, with bake and runs still to come."""
    rollout = at(Phase.CANARY)
    early = Facts(60_000, tally=Tally(units={"segment:internal canary 1000": 1}), findings=findings(error=Verdict.FAIL))
    assert due(rollout, early, STANDARD) == Due(Word.REGRESSION, ("guardrail:error",))


@pytest.mark.parametrize("stakes", Stakes)
@pytest.mark.parametrize("phase", LIVING)
def test_argo_4461_1259_abort_always_wins(phase: Phase, stakes: Stakes) -> None:
    """An abort works from every phase that lives, promoting and stuck ones included, asks for nothing, and leaves weight 0."""
    rollout = at(phase)
    assert Word.ABORT in possible(rollout, stakes)
    after = turn(rollout, Word.ABORT, now_ms=1, stakes=stakes)
    state = state_after(state_after(STATE, rollout, 3), after, 3)
    assert (after.phase, state.split, state.lanes["*"]) == (Phase.ABORTED, None, STATE.lanes["*"])


@pytest.mark.parametrize("phase", sorted(TERMINAL - {Phase.COMPLETED}))
def test_argo_2929_what_was_aborted_does_not_come_back(phase: Phase) -> None:
    """Nothing restarts a rollout that ended, its candidate is barred, and only a retry with a reason lifts that."""
    ended = at(phase, causes=("operator",))
    assert follow(ended, ready(ended), rounds=5) == ended
    state = state_after(STATE, ended, 3)
    with pytest.raises(Fault, match="candidate_barred"):
        begin(state, PLAN, "rel_new", identifier="2" * 16, now_ms=1)
    with pytest.raises(Fault, match="reason_missing"):
        turn(ended, Word.RETRY, now_ms=1, stakes=STANDARD, actor="alice")
    lifted = state_after(state, say(ended, Word.RETRY), 3)
    assert begin(lifted, PLAN, "rel_new", identifier="2" * 16, now_ms=1).phase is Phase.DRAFT


@pytest.mark.parametrize("phase", LIVING)
def test_argo_2200_every_stage_has_a_deadline(phase: Phase) -> None:
    """Where nobody goes on, the rollout ends by itself."""
    rollout = at(phase)
    after = follow(rollout, Facts(PLAN.deadline_ms + 1), rounds=3)
    assert (after.phase, weights(after)) == (Phase.EXPIRED, {})


@pytest.mark.parametrize("verdict", ["NO-GO", "INSUFFICIENT", "MISSING", "", "error", "Go"])
@pytest.mark.parametrize("phase", [Phase.GATED, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING])
def test_argo_1411_4393_the_gate_fails_closed(phase: Phase, verdict: str) -> None:
    """Nothing but a GO that is read from stored evidence goes on: a failed, missing or garbled verdict stops the rollout."""
    rollout = at(phase)
    after = follow(rollout, ready(rollout, gate=GateFacts(verdict)), rounds=4)
    assert after.at == rollout.at
    assert after.phase in {Phase.GATED, Phase.FROZEN, Phase.ABORTED}
    assert after.phase is not Phase.ABORTED or verdict == "NO-GO"
