"""From events and counts to findings and health."""

from __future__ import annotations

from math import log

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.journal import Event
from gateway.core.contract.rollout import Action, Finding, Guardrail, Plan, Rollout, Stage, Tally, Verdict
from gateway.core.rollout.guardrails import (
    bad_of,
    by_allocation,
    findings,
    health,
    key_of,
    limits_of,
    log_mismatch,
    seen_of,
    split_key,
    threshold_of,
)
from gateway.core.stats import counts
from gateway.core.stats.ratio import STRONG

STAGE = Stage("*", 500, 60_000, 50)
UNITS = {"* canary 500": 500, "* stable 500": 9500}


def rollout(*guardrails: Guardrail, limits: dict[str, float] | None = None, alpha: float = 0.05) -> Rollout:
    """A rollout with these guardrails."""
    plan = Plan(stages=(STAGE,), promoting=STAGE, guardrails=guardrails, alpha=alpha)
    return Rollout("0123456789abcdef", "rel_2", "rel_1", ("*",), plan, limits=limits or {})


def event(**given: object) -> Event:
    """An event of the canary."""
    return Event(run="r", release="rel_2", arm="canary", at_ms=1, allocation=500, unit="r", **given)  # type: ignore[arg-type]


def only(guardrail: Guardrail, tally: Tally, limits: dict[str, float] | None = None) -> Finding:
    """The finding of a plan of one guardrail."""
    (found,) = findings(rollout(guardrail, limits=limits), tally)
    return found


@pytest.mark.parametrize(
    ("guardrail", "given", "bad"),
    [
        (Guardrail("error"), {"bad": ("error",)}, True),
        (Guardrail("error"), {"bad": ("refusal",), "values": {"error": 1.0}}, False),
        (Guardrail("latency_ms", above="p95"), {"values": {"latency_ms": 1201.0}}, True),
        (Guardrail("latency_ms", above="p95"), {"values": {"latency_ms": 1200.0}}, False),
        (Guardrail("first_byte_ms", above="p95"), {"values": {"first_byte_ms": 9e9}}, False),
        (Guardrail("steps", above=20), {"values": {"steps": 21}}, True),
        (Guardrail("steps", above=0), {"values": {"steps": 1}}, True),
        (Guardrail("outcome.score", below="p05"), {"values": {"outcome.score": 0.1}}, True),
        (Guardrail("outcome.score", below="p05"), {"values": {"outcome.score": 0.3}}, False),
        (Guardrail("outcome.resolved"), {"values": {"outcome.resolved": 0.0}}, True),
        (Guardrail("outcome.resolved"), {"values": {"outcome.resolved": 1.0}}, False),
        (Guardrail("outcome.complained", above=0.5), {"values": {"outcome.complained": 1.0}}, True),
        (Guardrail("outcome.resolved"), {"values": {"outcome.score": 0.0}}, False),
    ],
)
def test_what_is_bad(guardrail: Guardrail, given: dict[str, object], bad: bool) -> None:
    """Yes and no by the live side's word; values past a number, or past the limit that was fixed; without a limit never."""
    plan = rollout(guardrail, limits={"latency_ms": 1200.0, "outcome.score": 0.2})
    assert bad_of(plan, event(**given)) == ((guardrail.metric,) if bad else ())


def test_only_the_plan_is_counted() -> None:
    """Of an event, what no guardrail watches is not counted; seen is what not every unit shows."""
    plan = rollout(Guardrail("error"), Guardrail("cost_micro", above=5.0), Guardrail("outcome.ok"))
    told = event(bad=("error", "refusal"), values={"cost_micro": 1.0, "latency_ms": 5.0, "outcome.ok": 0.0})
    assert bad_of(plan, told) == ("error", "outcome.ok")
    assert seen_of(plan, told) == ("cost_micro", "outcome.ok")
    assert limits_of(plan, Guardrail("latency_ms", above="p95")) == (None, None)


def test_alpha_is_split_over_what_acts() -> None:
    """Observed metrics take no share of alpha; a plan without any guardrail that acts does not divide by zero."""
    acting = (Guardrail("error"), Guardrail("refusal", Action.FREEZE))
    assert threshold_of(rollout(*acting, Guardrail("steps", Action.OBSERVE)).plan) == pytest.approx(40)
    assert threshold_of(rollout(Guardrail("steps", Action.OBSERVE)).plan) == pytest.approx(20)


def test_verdicts() -> None:
    """A regression fails, a suspicion is inconclusive, equal rates pass, and each finding carries the counts it rests on."""
    error = Guardrail("error")
    passed = only(error, Tally(units=UNITS, bad={"error": {"* canary 500": 5, "* stable 500": 95}}))
    assert passed.verdict is Verdict.PASS and passed.e_value < 1
    assert (passed.canary_bad, passed.canary_units, passed.control_bad, passed.control_units) == (5, 500, 95, 9500)
    suspicious = only(error, Tally(units=UNITS, bad={"error": {"* canary 500": 7, "* stable 500": 40}}))
    assert suspicious.verdict is Verdict.INCONCLUSIVE and 20**0.5 <= suspicious.e_value < 20
    failed = only(error, Tally(units=UNITS, bad={"error": {"* canary 500": 15, "* stable 500": 95}}))
    assert failed.verdict is Verdict.FAIL and failed.e_value >= failed.threshold == pytest.approx(20)
    assert failed.ratio == 1.0 and failed.action is Action.ROLLBACK and failed.limit is None


def test_a_regression_wins_over_missing_data() -> None:
    """Bad canary units are a regression although the control has shown nothing yet."""
    found = only(Guardrail("error"), Tally(units={"* canary 500": 9}, bad={"error": {"* canary 500": 9}}))
    assert found.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("guardrail", "tally", "verdict"),
    [
        (Guardrail("error"), Tally(), Verdict.NO_DATA),
        (Guardrail("error"), Tally(units={"* stable 500": 9000}), Verdict.NO_DATA),
        (Guardrail("error"), Tally(units={"* canary 500": 9000}), Verdict.NO_DATA),
        (Guardrail("error"), Tally(units=UNITS), Verdict.PASS),
        (Guardrail("latency_ms", above="p95"), Tally(units=UNITS), Verdict.NO_DATA),
        (Guardrail("latency_ms", above=900.0), Tally(units=UNITS), Verdict.PASS),
        (Guardrail("outcome.ok"), Tally(units=UNITS), Verdict.NO_DATA),
        (Guardrail("outcome.ok"), Tally(units=UNITS, seen={"outcome.ok": {"* stable 500": 8}}), Verdict.NO_DATA),
        (Guardrail("outcome.ok"), Tally(units=UNITS, seen={"outcome.ok": UNITS}), Verdict.PASS),
        (Guardrail("cost_micro", above=5.0), Tally(units=UNITS), Verdict.NO_DATA),
        (Guardrail("error", noninferior=1.5), Tally(units=UNITS), Verdict.INCONCLUSIVE),
    ],
)
def test_what_was_not_observed_is_no_pass(guardrail: Guardrail, tally: Tally, verdict: Verdict) -> None:
    """No units in an arm, no outcome seen, no limit, no proof: none of them passes, and none of them fails."""
    assert only(guardrail, tally).verdict is verdict


def test_noninferiority() -> None:
    """With the proof it passes, and says how strong it is; alpha is not divided for it."""
    bad = {"error": {"* canary 2500": 40, "* stable 2500": 300}}
    units = {"* canary 2500": 2500, "* stable 2500": 7500}
    guardrails = (Guardrail("error", noninferior=1.5), Guardrail("refusal"), Guardrail("truncation"))
    found = findings(rollout(*guardrails), Tally(units=units, bad=bad))[0]
    assert found.verdict is Verdict.PASS and found.noninferior_e >= 20
    few = {"error": {"* canary 2500": 4, "* stable 2500": 12}}
    assert findings(rollout(*guardrails), Tally(units=units, bad=few))[0].verdict is Verdict.INCONCLUSIVE


KEYS = st.tuples(
    st.sampled_from(("*", "tenant:a b", "segment:x")), st.sampled_from(("canary", "stable")), st.integers(1, 9999)
).map(lambda parts: key_of(*parts))


@settings(max_examples=60, deadline=None)
@given(bad=st.dictionaries(KEYS, st.integers(0, 50), max_size=8))
def test_lanes_add_up(bad: dict[str, int]) -> None:
    """Lanes do not matter to the evidence, allocations do: it is the e-value of the summed counts, and never loses a unit."""
    found = only(Guardrail("error"), Tally(units=UNITS, bad={"error": bad}))
    assert found.canary_bad + found.control_bad == sum(bad.values())
    assert found.e_value == pytest.approx(counts.e_value(counts.log_e_value(by_allocation(bad))))
    for key in bad:
        assert key_of(*split_key(key)) == key


def test_healthy_counts() -> None:
    """A split as planned, a few restarted runs, and outcomes as units fall: nothing is wrong. Nothing counted: neither."""
    plan = rollout(Guardrail("outcome.ok"))
    seen = {"outcome.ok": {"* canary 500": 210, "* stable 500": 4000}}
    assert health(plan, Tally(units=UNITS, first=UNITS, seen=seen, twice=2)) == ()
    assert health(plan, Tally()) == ()


def test_sick_counts() -> None:
    """A wrong ratio in one lane, units in both arms, and an arm that does not report are each named."""
    plan = rollout(Guardrail("outcome.ok"))
    wrong = UNITS | {"tenant:a canary 500": 100, "tenant:a stable 500": 700}
    assert health(plan, Tally(units=wrong, first=wrong)) == ("sample_ratio",)
    assert health(plan, Tally(units=UNITS, first=UNITS, twice=200)) == ("exposed_twice",)
    silent = {"outcome.ok": {"* canary 500": 90, "* stable 500": 4000}}
    assert health(plan, Tally(units=UNITS, first=UNITS, seen=silent)) == ("missing_outcomes",)
    assert health(rollout(Guardrail("error")), Tally(units=UNITS, first=UNITS, seen=silent)) == ()


def test_assignments_are_judged_by_the_first_of_each_unit() -> None:
    """Tenants that come again at each weight are counted there again, and say nothing new of how they were assigned; counts of a
    version that kept no first ones are judged as they are."""
    plan = rollout(Guardrail("error"))
    wrong = {"* canary 500": 100, "* stable 500": 700}
    assert health(plan, Tally(units=wrong, first=UNITS)) == ()
    assert health(plan, Tally(units=UNITS, first=wrong)) == health(plan, Tally(units=wrong)) == ("sample_ratio",)


@pytest.mark.parametrize(("twice", "units", "told"), [(2, 4, False), (3, 300, False), (3, 299, True), (3, 4, True)])
def test_units_in_both_arms_are_a_fault_when_they_are_some_and_a_share(twice: int, units: int, told: bool) -> None:
    """Three of them at least, and above one in a hundred: two restarted runs of four are none."""
    counted = {"* canary 5000": units // 2, "* stable 5000": units - units // 2}
    found = health(rollout(Guardrail("error")), Tally(units=counted, first=counted, twice=twice))
    assert found == (("exposed_twice",) if told else ())


def test_a_tally_reads_back() -> None:
    """A tally is part of what `rollout status` answers: it is JSON and reads back equal."""
    tally = Tally(units=UNITS, first=UNITS, bad={"error": UNITS}, lost_ms=5)
    assert msgspec.json.decode(msgspec.json.encode(tally), type=Tally) == tally
    assert tally.lost and not Tally().lost
    assert log(20) == pytest.approx(log(threshold_of(rollout(Guardrail("error")).plan)))


def test_a_finding_tells_its_limit_and_the_proof_that_was_asked_for() -> None:
    """The limit in force, on whichever side it is; none, and no proof, where none was asked for."""
    seen = {"latency_ms": UNITS, "outcome.score": UNITS}
    for guardrail, limit in (
        (Guardrail("latency_ms", above="p95"), 1200.0),
        (Guardrail("outcome.score", below=0.2), 0.2),
        (Guardrail("outcome.score", above=0.9, below=0.2), 0.9),
        (Guardrail("error"), None),
    ):
        found = only(guardrail, Tally(units=UNITS, seen=seen), {"latency_ms": 1200.0})
        assert (found.limit, found.noninferior_e) == (limit, 0.0)
    asked = only(Guardrail("error", noninferior=1.5), Tally(units=UNITS))
    assert asked.noninferior_e == pytest.approx(1.0)


def test_each_watched_outcome_has_its_part_of_the_false_alarms() -> None:
    """What one outcome is called for by itself is not enough where two are watched; and nobody reported is no mismatch."""
    assert log_mismatch({}, STRONG) == 0.0

    def silent(canary: int) -> dict[str, int]:
        return {"* canary 500": canary, "* stable 500": 4000}

    few = next(n for n in range(210, 0, -1) if log_mismatch(silent(n), STRONG) >= log(1000))
    assert log_mismatch(silent(few), STRONG) < log(2000)
    tally = Tally(units=UNITS, first=UNITS, seen={"outcome.a": silent(few)})
    assert health(rollout(Guardrail("outcome.a")), tally) == ("missing_outcomes",)
    assert health(rollout(Guardrail("outcome.a"), Guardrail("outcome.b")), tally) == ()
