"""Forecasts: days, runs and what can be seen, against simulation and the planning table."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.rollout import Guardrail, Plan, Stage
from gateway.core.rollout.manifest import plan_of, read
from gateway.core.rollout.planning import LARGEST, forecast, smallest_ratio
from gateway.core.stats.counts import log_e_value

DAY = 86_400_000
HOUR = DAY // 24
PLAN = Plan(
    stages=(Stage("segment:internal", 5000, HOUR, 50), Stage("*", 100, HOUR, 100), Stage("*", 2500, DAY, 100)),
    promoting=Stage("*", 9500, DAY, 100),
    guardrails=(Guardrail("error"),),
    trios=50,
)
MEDIANS = {
    # base rate: {allocation: canary units until a rate ratio of 1.5, 2, 3, 5 is called}, rollout.md 3.2
    0.01: {100: (2700, 895, 243, 83), 500: (3280, 900, 263, 93), 2500: (3890, 1200, 397, 128)},
    0.02: {100: (1270, 448, 121, 36), 500: (1570, 438, 128, 44), 2500: (2030, 596, 174, 72)},
    0.05: {100: (563, 144, 51, 19), 500: (679, 182, 48, 19), 2500: (828, 208, 68, 25)},
}


def manifest(**members: object) -> Plan:
    """The plan of a manifest."""
    return plan_of(read({"kind": "Rollout", "alias": "a", "release": "rel_0", **members}))


@pytest.mark.parametrize("base", MEDIANS)
def test_agrees_with_the_planning_table(base: float) -> None:
    """With 1.1 to 2.4 times the median's runs a regression is called in about 80 % of cases, as the definition wants."""
    for allocation, row in MEDIANS[base].items():
        for ratio, median in zip((1.5, 2.0, 3.0, 5.0), row, strict=True):
            few, many = (
                {allocation: (n, n * (10_000 - allocation) / allocation)} for n in (median * 1.1, median * 2.4)
            )
            with_few, with_many = (smallest_ratio(units, base, 20.0) for units in (few, many))
            assert with_few is None or with_few > ratio
            assert with_many is not None
            assert with_many < ratio


def called(units: tuple[int, int], rates: tuple[float, float], allocation: int, dice: random.Random) -> bool:
    """Whether a simulated stage calls the regression by its end."""
    canary, control = units
    bad_canary = [dice.random() < rates[0] for _ in range(canary)]
    bad_control = [dice.random() < rates[1] for _ in range(control)]
    events = [True] * sum(bad_canary) + [False] * sum(bad_control)
    dice.shuffle(events)
    seen = [0, 0]
    for of_canary in events:
        seen[not of_canary] += 1
        if of_canary and log_e_value({allocation: (seen[0], seen[1])}) >= 3.0:
            return True
    return False


@pytest.mark.parametrize(("base", "allocation", "runs"), [(0.05, 2500, 200), (0.02, 5000, 800)])
def test_what_is_called_visible_is_seen(base: float, allocation: int, runs: int) -> None:
    """A simulated regression of the size that is forecast is called by the end of the stage in about 80 % of rollouts."""
    control = round(runs * (10_000 - allocation) / allocation)
    ratio = smallest_ratio({allocation: (runs, control)}, base, 20.0855)  # exp(3)
    assert ratio is not None
    dice = random.Random(7)
    hits = sum(called((runs, control), (base * ratio, base), allocation, dice) for _ in range(120))
    assert 0.66 < hits / 120 < 0.93


def test_days_and_runs() -> None:
    """A stage lasts as long as its bake or its runs, whichever is longer; promoting counts every lane."""
    found = forecast(PLAN, {"segment:internal": 400.0, "*": 10_000.0})
    internal, first, second, promoting = found.stages
    assert (internal.runs_a_day, internal.days) == (200, 0.25)
    assert (first.runs_a_day, first.days) == (100, 1.0)
    assert (second.runs_a_day, second.days) == (2500, 1.0)
    assert promoting.runs_a_day == pytest.approx(9880)
    assert found.days == pytest.approx(3.25)
    assert found.shadow_days == pytest.approx(50 / (10_400 * 0.1 * 0.2))
    assert (found.refused, found.warnings) == ((), ())


def test_evidence_is_carried_on() -> None:
    """Later stages see at least what earlier ones saw."""
    ratios = [
        stage.smallest_ratio or LARGEST for stage in forecast(PLAN, {"segment:internal": 400, "*": 10_000}).stages
    ]
    assert ratios == sorted(ratios, reverse=True)


def test_a_deadline_below_what_is_needed_is_refused() -> None:
    """A stage that cannot get its runs before its deadline is named, with the days it needs."""
    found = forecast(manifest(), {"*": 700.0})
    assert found.refused == ("1 % of *: needs 14.3 days, and the deadline of a stage is 7.0",)
    assert forecast(manifest(preset="low-traffic"), {"*": 500.0}).refused == ()


def test_a_lane_without_traffic_is_refused() -> None:
    """Where nobody comes, nothing ends."""
    found = forecast(PLAN, {"*": 10_000.0})
    assert "50 % of segment:internal: no runs are expected there" in found.refused[0]
    assert (found.stages[0].days, found.days) == (None, None)
    assert forecast(PLAN, {}).shadow_days is None


def test_few_runs_are_warned_of() -> None:
    """A grace that is likely to pass without a run, and a stage that sees nothing at all, are told beforehand."""
    plan = msgspec.structs.replace(PLAN, stages=(Stage("*", 100, HOUR, 1),))
    found = forecast(plan, {"*": 150.0})
    assert any("within the grace" in each for each in found.warnings)
    assert any("sees no regression" in each for each in found.warnings)


def test_no_shadow_takes_no_days() -> None:
    """A plan without trios has no shadow to wait for."""
    assert forecast(msgspec.structs.replace(PLAN, trios=0), {}).shadow_days == 0


def test_base_rate_is_a_share() -> None:
    """A base rate of 0 or 1 has no ratio."""
    with pytest.raises(ValueError, match="base rate"):
        forecast(PLAN, {}, base_rate=0.0)


@settings(max_examples=40)
@given(
    canary=st.floats(1, 5000),
    allocation=st.sampled_from([100, 500, 2500, 5000, 9500]),
    base=st.sampled_from([0.01, 0.05, 0.2]),
    more=st.floats(1.2, 10),
)
def test_more_runs_never_see_less(canary: float, allocation: int, base: float, more: float) -> None:
    """The smallest visible regression only falls with traffic, and is above what is tolerated."""
    units = {allocation: (canary, canary * (10_000 - allocation) / allocation)}
    larger = {allocation: tuple(each * more for each in units[allocation])}
    before = smallest_ratio(units, base, 20.0) or LARGEST
    after = smallest_ratio(larger, base, 20.0) or LARGEST  # type: ignore[arg-type]
    assert 1.0 < after <= before * 1.002
