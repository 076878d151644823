"""What is due by itself: harm first, in every phase; then what freezes; then time; progress only on data."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import Stakes
from gateway.core.contract.rollout import (
    TERMINAL,
    Action,
    Facts,
    Finding,
    GateFacts,
    Phase,
    Rollout,
    ShadowFacts,
    Tally,
    Verdict,
    Word,
)
from gateway.core.rollout.judge import ERRORS, Due, due, freezing, overdue_ms, stage_over, units
from tests.core.rollout.walk import GO, HIGH, HOUR, LOW, PLAN, STANDARD, at, draft, finding, findings, ready, say

LIVING = [phase for phase in Phase if phase not in TERMINAL]
UNDER_WAY = [phase for phase in LIVING if phase not in {Phase.DRAFT, Phase.FROZEN}]
DAY = 24 * HOUR


def tallied(facts: Facts, **members: Any) -> Facts:
    """The facts with another tally."""
    return msgspec.structs.replace(facts, tally=msgspec.structs.replace(facts.tally, **members))


@pytest.mark.parametrize("stakes", Stakes)
@pytest.mark.parametrize("phase", LIVING)
def test_harm_comes_first_everywhere(phase: Phase, stakes: Stakes) -> None:
    """A guardrail's regression rolls back from every phase, whatever else is true: frozen, late, alarmed or ready to go on."""
    rollout = at(phase)
    facts = ready(rollout, findings=findings(error=Verdict.FAIL), alarms=("drift",), errors=ERRORS, now_ms=99 * DAY)
    assert due(rollout, facts, stakes) == Due(Word.REGRESSION, ("guardrail:error",))
    tripped = tallied(ready(rollout), trips={"undeclared_tool": 2, "model_gone": 1})
    word = due(rollout, tripped, stakes)
    assert word == Due(Word.REGRESSION, ("tripwires:model_gone", "tripwires:undeclared_tool"))


@pytest.mark.parametrize("phase", sorted(TERMINAL))
def test_the_end_is_quiet(phase: Phase) -> None:
    """Nothing is due for a rollout that has ended."""
    assert due(at(phase), ready(at(phase), findings=findings(error=Verdict.FAIL)), STANDARD) is None


@pytest.mark.parametrize("phase", UNDER_WAY)
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"findings": findings(refusal=Verdict.FAIL)}, "signal:refusal"),
        ({"health": ("sample_ratio",)}, "sample_ratio"),
        ({"health": ("events_lost",)}, "events_lost"),
        ({"alarms": ("drift",)}, "drift"),
        ({"errors": ERRORS}, "analysis_error"),
        ({"alarms": ("from_the_future",)}, "from_the_future"),
    ],
)
def test_what_freezes_freezes_everywhere(phase: Phase, change: dict[str, Any], cause: str) -> None:
    """A signal, a health cause, an alarm and unreadable numbers freeze every phase that is under way, before any progress."""
    rollout = at(phase)
    assert due(rollout, ready(rollout, **change), STANDARD) == Due(Word.FREEZE, (cause,))


def test_a_person_who_is_waited_for_answers_what_the_data_leaves_open() -> None:
    """A metric that became inconclusive, or has no data, after its stage was over freezes no wait for an approval: the person sees it."""
    rollout = at(Phase.AWAITING_APPROVAL)
    for verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA):
        assert due(rollout, ready(rollout, findings=findings(error=verdict)), STANDARD) is None


def test_a_draft_is_frozen_by_nothing_but_a_person() -> None:
    """Before it has been started nothing about it is looked at."""
    draft = at(Phase.DRAFT)
    for change in ({"alarms": ("drift",)}, {"health": ("sample_ratio",)}, {"errors": ERRORS}):
        assert due(draft, ready(draft, **change), STANDARD) is None


def test_a_first_trip_freezes_and_each_further_one_again() -> None:
    """The first hit of a tripwire freezes; a person may resume; the next hit freezes again, until they are too many."""
    rollout = at(Phase.CANARY)
    once = tallied(ready(rollout), trips={"undeclared_tool": 1})
    first = due(rollout, once, STANDARD)
    assert first == Due(Word.FREEZE, ("tripwire:undeclared_tool=1",))
    resumed = say(say(rollout, Word.FREEZE, causes=first.causes), Word.RESUME)
    assert due(resumed, once, STANDARD) == Due(Word.ADVANCE, evidence=GO.evidence)
    twice = tallied(once, trips={"undeclared_tool": 2})
    assert due(resumed, twice, STANDARD) == Due(Word.FREEZE, ("tripwire:undeclared_tool=2",))


@pytest.mark.parametrize("alarm", ["undeclared", "nameless_tools"])
def test_some_alarms_freeze_only_at_high(alarm: str) -> None:
    """Undeclared prompts and nameless tool calls freeze at high; below they are counted and hold nothing up."""
    rollout = at(Phase.CANARY)
    facts = ready(rollout, alarms=(alarm,))
    assert due(rollout, facts, HIGH) == Due(Word.FREEZE, (alarm,))
    for stakes in (LOW, STANDARD):
        assert due(rollout, facts, stakes) == Due(Word.ADVANCE, evidence=GO.evidence)


def test_new_causes_join_a_freeze_and_old_ones_do_not_repeat() -> None:
    """While frozen, the same cause is not told again, a new one is."""
    frozen = at(Phase.FROZEN)
    signal = ready(frozen, findings=findings(refusal=Verdict.FAIL))
    assert due(frozen, signal, STANDARD) is None
    assert due(frozen, msgspec.structs.replace(signal, alarms=("drift",)), STANDARD) == Due(Word.FREEZE, ("drift",))


def dipped(metric: str) -> tuple[Finding, ...]:
    """Everything passes, one metric with some evidence left against the candidate."""
    return tuple(msgspec.structs.replace(f, e_value=1.5) if f.metric == metric else f for f in findings())


@pytest.mark.parametrize(
    ("causes", "change", "cleared"),
    [
        (("signal:refusal",), {}, True),
        (("signal:refusal",), {"findings": findings(refusal=Verdict.FAIL)}, False),
        (("signal:refusal",), {"findings": findings(refusal=Verdict.INCONCLUSIVE)}, False),
        (("signal:refusal",), {"findings": dipped("refusal")}, False),
        (("signal:refusal",), {"findings": ()}, False),
        (("signal:refusal", "drift"), {}, False),
        (("operator",), {}, False),
        (("tripwire:undeclared_tool=1",), {}, False),
        (("sample_ratio",), {}, False),
        (("missing_outcomes",), {}, True),
        (("analysis_error",), {}, True),
        (("analysis_error",), {"errors": 1}, False),
        (("inconclusive:error",), {}, True),
        (("inconclusive:error",), {"findings": findings(error=Verdict.INCONCLUSIVE)}, False),
        (("inconclusive:error",), {"findings": dipped("error")}, False),
        (("inconclusive:error",), {"findings": ()}, False),
        (("no_data:error",), {"findings": dipped("error")}, True),
        (("no_data:error",), {"findings": findings(error=Verdict.NO_DATA)}, False),
        (("gate_missing",), {}, True),
        (("gate_missing",), {"gate": GateFacts("INSUFFICIENT")}, False),
        (("gate_no_go",), {"gate": GateFacts("MISSING")}, False),
        (("no_units",), {}, True),
        ((), {}, True),
    ],
)
def test_only_data_clears_a_freeze(causes: tuple[str, ...], change: dict[str, Any], cleared: bool) -> None:
    """A freeze ends by itself when all its causes are of the kind that may, and the data shows none of them any more."""
    frozen = at(Phase.FROZEN, causes=causes)
    found = due(frozen, ready(frozen, **change), STANDARD)
    if cleared:
        assert found == Due(Word.CLEARED, causes)
    else:
        assert found is None or found.word is Word.FREEZE


def test_a_freeze_does_not_clear_by_time() -> None:
    """However long nothing is heard, a freeze stays; the deadline ends the rollout, never widens it."""
    frozen = at(Phase.FROZEN, causes=("no_units",))
    silent = tallied(ready(frozen), newest_ms=0)
    assert due(frozen, msgspec.structs.replace(silent, now_ms=2 * DAY), STANDARD) is None
    late = msgspec.structs.replace(silent, now_ms=8 * DAY)
    assert due(frozen, late, STANDARD) == Due(Word.EXPIRE, ("deadline",))


@pytest.mark.parametrize("phase", LIVING)
def test_every_phase_has_a_deadline(phase: Phase) -> None:
    """A stage that lasts longer than its deadline expires, an approval sooner."""
    rollout = at(phase, causes=("operator",) if phase is Phase.FROZEN else ())
    quiet = Facts(now_ms=0, gate=GateFacts("MISSING"))
    limit = PLAN.approval_ms if phase is Phase.AWAITING_APPROVAL else PLAN.deadline_ms
    cause = "approval" if phase is Phase.AWAITING_APPROVAL else "deadline"
    for now, expected in ((limit, None), (limit + 1, Due(Word.EXPIRE, (cause,)))):
        held = msgspec.structs.replace(rollout, waived=("no_units", "gate_missing"))
        assert due(held, msgspec.structs.replace(quiet, now_ms=now), STANDARD) == expected


@pytest.mark.parametrize(
    ("trios", "pairs", "failures", "word"),
    [
        (0, 0, 0, None),
        (4, 20, 0, None),
        (5, 20, 0, Word.SHADOWED),
        (5, 20, 1, Word.SHADOWED),
        (5, 20, 2, None),
        (5, 20, 5, None),
        (5, 20, 6, Word.SHADOW_FAILED),
        (0, 1, 1, None),
        (0, 3, 3, Word.SHADOW_FAILED),
        (50, 400, 20, Word.SHADOWED),
        (50, 400, 21, None),
        (50, 400, 40, Word.SHADOW_FAILED),
    ],
)
def test_shadow(trios: int, pairs: int, failures: int, word: Word | None) -> None:
    """Enough trios and few failures pass; a share of failures over the limit goes on until it comes down, or is no chance."""
    rollout = at(Phase.SHADOWING)
    facts = ready(rollout, shadow=ShadowFacts(trios, pairs, failures, "r1"))
    found = due(rollout, facts, STANDARD)
    assert (found.word if found else None) is word
    assert found is None or found.report == "r1"


@pytest.mark.parametrize(
    ("trios", "asked", "pairs", "failures", "word"),
    [
        (0, 50, 1, 1, None),
        (0, 50, 3, 3, Word.SHADOW_FAILED),
        (0, 0, 0, 0, None),
        (0, 0, 1, 0, Word.SHADOWED),
    ],
)
def test_a_shadow_with_few_pairs(trios: int, asked: int, pairs: int, failures: int, word: Word | None) -> None:
    """A first failed call is not yet a failed shadow, and no pair at all is not a good one, however few are asked for."""
    rollout = at(Phase.SHADOWING, msgspec.structs.replace(PLAN, trios=asked))
    found = due(rollout, ready(rollout, shadow=ShadowFacts(trios, pairs, failures)), STANDARD)
    assert (found.word if found else None) is word


@pytest.mark.parametrize(("rate", "most", "least"), [(0.02, 0.01, 0.0), (0.2, 1.0, 0.9)])
def test_a_shadow_that_fails_as_often_as_calls_do_is_good(rate: float, most: float, least: float) -> None:
    """Of candidates whose calls fail in 2 % hardly any end in shadow at the default limit of 5 %; of those in 20 %, nearly all."""
    dice, rollout = random.Random(7), at(Phase.SHADOWING, msgspec.structs.replace(PLAN, trios=50))
    failed = 0
    for _ in range(150):
        failures = 0
        for pairs in range(1, 1000):
            failures += dice.random() < rate
            found = due(rollout, Facts(now_ms=0, shadow=ShadowFacts(pairs // 5, pairs, failures)), STANDARD)
            if found is not None:
                failed += found.word is Word.SHADOW_FAILED
                break
    assert least <= failed / 150 <= most


@pytest.mark.parametrize("phase", [*UNDER_WAY, Phase.FROZEN])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"findings": ()},
        {"tally": Tally(), "now_ms": PLAN.grace_ms + 1},
        {"gate": GateFacts("NO-GO")},
        {"gate": GateFacts("MISSING"), "findings": ()},
    ],
)
def test_what_could_not_be_read_decides_nothing(phase: Phase, change: dict[str, Any]) -> None:
    """Facts that could not be read once or twice neither go on, nor clear, nor count as missing data or a NO-GO."""
    rollout = at(phase)
    assert due(rollout, ready(rollout, errors=ERRORS - 1, **change), STANDARD) is None


def test_a_shadow_nobody_read_is_not_a_good_one() -> None:
    """Without a report nothing is due."""
    rollout = at(Phase.SHADOWING)
    assert due(rollout, ready(rollout, shadow=None), STANDARD) is None


@pytest.mark.parametrize("stakes", Stakes)
@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("GO", Due(Word.GO, evidence=("e1",))),
        ("NO-GO", Due(Word.NO_GO, ("gate_no_go",), ("e1",))),
        ("INSUFFICIENT", None),
        ("MISSING", None),
        ("go", None),
    ],
)
def test_gated_goes_by_the_gate_alone(verdict: str, expected: Due | None, stakes: Stakes) -> None:
    """GO goes on, NO-GO ends it, everything else stays, at any stakes and for any time within the deadline."""
    rollout = at(Phase.GATED)
    assert due(rollout, ready(rollout, gate=GateFacts(verdict, ("e1",)), now_ms=6 * DAY), stakes) == expected


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.PROMOTING])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Word.ADVANCE),
        ({"now_ms": HOUR // 2}, None),
        ({"tally": Tally(newest_ms=3 * HOUR)}, None),
        ({"findings": findings(error=Verdict.INCONCLUSIVE)}, ("inconclusive:error",)),
        ({"findings": findings(refusal=Verdict.NO_DATA)}, ("no_data:refusal",)),
        ({"findings": ()}, ("no_data:error", "no_data:refusal")),
        ({"findings": (*findings(), finding("steps", Verdict.FAIL, Action.OBSERVE))}, Word.ADVANCE),
        ({"errors": 1}, None),
        ({"gate": GateFacts("MISSING")}, ("gate_missing",)),
        ({"gate": GateFacts("INSUFFICIENT")}, ("gate_missing",)),
        ({"gate": GateFacts("NO-GO")}, ("gate_no_go",)),
    ],
)
def test_an_advance_needs_everything(phase: Phase, change: dict[str, Any], expected: Any) -> None:
    """A stage goes on when it has baked, was seen, every metric that acts passes and the gate says GO; else it stays or freezes."""
    rollout = at(phase)
    found = due(rollout, ready(rollout, **change), STANDARD)
    if expected is None:
        assert found is None
    elif expected is Word.ADVANCE:
        assert found == Due(Word.ADVANCE, evidence=GO.evidence)
    else:
        assert found == Due(Word.FREEZE, expected)


def test_within_a_stage_little_data_waits() -> None:
    """Before the stage is over a metric that says little, or a gate that no longer does, freezes nothing; a NO-GO does."""
    rollout = at(Phase.CANARY)
    early = ready(rollout, now_ms=HOUR // 2, findings=findings(error=Verdict.INCONCLUSIVE), gate=GateFacts("MISSING"))
    assert due(rollout, early, STANDARD) is None
    early = msgspec.structs.replace(early, gate=GateFacts("NO-GO"))
    assert due(rollout, early, STANDARD) == Due(Word.FREEZE, ("gate_no_go",))


def test_units_of_other_weights_do_not_count() -> None:
    """A stage's own canary units are those of its lane and weight; promoting counts every lane of the rollout."""
    counted = {"* canary 100": 9, "* canary 2500": 50, "* stable 100": 900, "segment:internal canary 100": 70}
    rollout = at(Phase.CANARY, at=2)
    facts = tallied(ready(rollout), units=counted)
    assert units(rollout, facts) == 9
    assert not stage_over(rollout, facts)
    assert due(rollout, facts, STANDARD) is None
    promoting = at(Phase.PROMOTING)
    both = tallied(ready(promoting), units={"* canary 9500": 20, "segment:internal canary 9500": 11})
    assert units(promoting, both) == 31
    assert units(draft(), both) == 0


def test_missing_data_past_grace_freezes() -> None:
    """A stage without any new canary unit for longer than the grace freezes, also while it waits for an approval."""
    for phase in (Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING):
        rollout = at(phase)
        facts = tallied(ready(rollout, now_ms=PLAN.grace_ms + 1), newest_ms=0)
        assert due(rollout, facts, STANDARD) == Due(Word.FREEZE, ("no_units",))


def test_approval_is_never_given_by_the_judge() -> None:
    """Everything green, however long: an approval is a person's."""
    rollout = at(Phase.AWAITING_APPROVAL)
    assert due(rollout, ready(rollout), STANDARD) is None
    stale = ready(rollout, gate=GateFacts("MISSING"), now_ms=0)
    assert due(rollout, stale, STANDARD) == Due(Word.FREEZE, ("gate_missing",))


@pytest.mark.parametrize(("phase", "stakes"), list(product([Phase.CANARY, Phase.PROMOTING], Stakes)))
def test_an_override_replaces_the_gate_but_at_high(phase: Phase, stakes: Stakes) -> None:
    """Who answers for a missing GO answers for the whole rollout; where the stakes were raised to high nobody can."""
    rollout: Rollout = at(phase, override="bob: known")
    facts = ready(rollout, gate=GateFacts("MISSING"))
    found = due(rollout, facts, stakes)
    assert found == (Due(Word.FREEZE, ("gate_missing",)) if stakes is HIGH else Due(Word.ADVANCE))


def test_a_stage_is_overdue_by_what_it_needs_itself() -> None:
    """Half of what its end by time leaves after its bake: a long bake is not late, a wait for an approval has a time of its own."""
    plan = msgspec.structs.replace(
        PLAN,
        deadline_ms=10 * DAY,
        approval_ms=2 * DAY,
        promoting=msgspec.structs.replace(PLAN.promoting, bake_ms=3 * DAY),
    )

    def overdue(phase: Phase, after: int, **more: Any) -> int:
        rollout = msgspec.structs.replace(at(phase), **{"plan": plan, **more})
        return overdue_ms(rollout, rollout.since_ms + after)

    half = (10 * DAY - 3 * DAY) // 2
    assert [overdue(Phase.PROMOTING, 3 * DAY + half + more) for more in (-DAY, 0, 1, DAY)] == [0, 0, 1, DAY]
    assert [overdue(Phase.AWAITING_APPROVAL, after) for after in (DAY, DAY + 1)] == [0, 1]
    assert [overdue(Phase.GATED, after) for after in (5 * DAY, 5 * DAY + 1)] == [0, 1]
    short = msgspec.structs.replace(plan, deadline_ms=DAY)
    assert overdue(Phase.PROMOTING, 3 * DAY + 7, plan=short) == 7
    for phase in TERMINAL:
        assert overdue(phase, 99 * DAY) == 0


def test_a_stage_is_over_to_the_millisecond_from_when_it_began() -> None:
    """Its bake counts from its own beginning, and is over at its last millisecond."""
    rollout = at(Phase.CANARY, since_ms=7 * DAY)
    assert stage_over(rollout, ready(rollout, now_ms=7 * DAY + HOUR))
    assert not stage_over(rollout, ready(rollout, now_ms=7 * DAY + HOUR - 1))


def test_the_first_stage_may_starve_too() -> None:
    """No new run for longer than the grace freezes from the first stage on, and not at the grace itself; before it nobody is awaited."""
    rollout = at(Phase.CANARY)
    last = rollout.plan.grace_ms
    quiet = tallied(ready(rollout, now_ms=last), newest_ms=0)
    assert "no_units" not in freezing(rollout, quiet, STANDARD)
    assert "no_units" in freezing(rollout, msgspec.structs.replace(quiet, now_ms=last + 1), STANDARD)


def test_a_tripwire_without_a_hit_is_no_cause() -> None:
    """Only those that were hit are named, where it freezes and where it rolls back."""
    rollout = at(Phase.CANARY)
    for hits, word, causes in (
        (1, Word.FREEZE, ("tripwire:model_gone=1",)),
        (3, Word.REGRESSION, ("tripwires:model_gone",)),
    ):
        facts = tallied(ready(rollout), trips={"model_gone": hits, "undeclared_tool": 0})
        assert due(rollout, facts, STANDARD) == Due(word, causes)


def test_a_cause_that_is_left_keeps_a_stage_from_ending() -> None:
    """What still shows and nobody waived does not advance, also where it is no news."""
    rollout = at(Phase.CANARY, causes=("sample_ratio",))
    assert due(rollout, ready(rollout, health=("sample_ratio",)), STANDARD) is None
    waived = at(Phase.CANARY, waived=("sample_ratio",))
    assert due(waived, ready(waived, health=("sample_ratio",)), STANDARD) == Due(Word.ADVANCE, evidence=GO.evidence)


@pytest.mark.parametrize("code", ["gate_missing", "gate_no_go"])
def test_a_gate_clears_by_a_go_alone(code: str) -> None:
    """Early in a stage a missing GO freezes nothing, and all the same it clears nothing."""
    frozen = at(Phase.FROZEN, causes=(code,))
    early = ready(frozen, now_ms=1, gate=GateFacts("MISSING"))
    assert code not in freezing(frozen, early, STANDARD)
    assert due(frozen, early, STANDARD) is None
    assert due(frozen, msgspec.structs.replace(early, gate=GO), STANDARD) == Due(Word.CLEARED, (code,))
