"""What a plan will take before it is started: days and runs per stage, and the smallest regression that each stage can see.

How the smallest regression is found. With n canary and l control units at allocation rho, base rate p and true ratio r, a stage
brings c = n p r bad units of the canary and k = l p of the control on average. The bet on R of `core.stats.counts` then grows by
c log R + (c + k) log((1 + odds) / (1 + R odds)), odds = m rho / (1 - rho), with m the tolerated ratio. Counts are Poisson, so its
standard deviation is sqrt(c u^2 + k v^2), u and v being what one event adds. The regression is seen where the mean over R of
exp(growth - Z sd) reaches the threshold of a guardrail, 1/alpha_j. Evidence is carried from stage to stage, as in the test itself.

Z = 0.5 is calibrated by simulation: a regression of that size is called by the end of the stage in 72 to 86 % of rollouts (base
rates 1 and 5 %, allocations 1 to 50 %, ratios 1.5 to 5, 200 rollouts each; tests/core/rollout/test_planning.py repeats a part).
Against the planning table of medians in `rollout.md` 3.2 that is 1.1 to 2.4 times the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log, sqrt

import msgspec

from gateway.core.contract.rollout import Plan, Stage
from gateway.core.rollout.guardrails import threshold_of
from gateway.core.stats.counts import WORSE, log_mean

BASE_RATE = 0.02
"""Share of units that are bad without any fault of the candidate, where nobody knows better: the middle row of the table."""
LARGEST = 100.0
"""A regression that is larger is not called visible."""
_Z = 0.5
_DAY_MS = 86_400_000
_WHOLE = 10_000
_EXPECTED = 3.0
"""Units to expect within the grace: with fewer, chance alone leaves it empty in more than 5 % of cases (exp(-3))."""


class StageForecast(msgspec.Struct, frozen=True):
    """One stage; the last is promoting. `None` days: nobody is there to be exposed."""

    lane: str
    weight: int
    approve: bool
    runs: int
    """Canary units the stage asks for."""
    runs_a_day: float
    """Canary units it will get."""
    bake_days: float
    days: float | None
    """The longer of its bake and what its runs take."""
    smallest_ratio: float | None
    """Rate ratio, canary over control, that is called by the end of the stage in about 80 % of cases; None above 100."""


class Forecast(msgspec.Struct, frozen=True):
    """A plan under a given traffic."""

    shadow_days: float | None
    """Days until enough requests were compared three ways; 0 without a shadow, None without traffic."""
    stages: tuple[StageForecast, ...]
    days: float | None
    """All stages without approvals and freezes."""
    refused: tuple[str, ...]
    """Why this plan cannot be finished: such a rollout is not started."""
    warnings: tuple[str, ...]


def forecast(
    plan: Plan,
    runs_a_day: Mapping[str, float],
    *,
    base_rate: float = BASE_RATE,
    tolerated: float = 1.0,
) -> Forecast:
    """What to expect with so many new eligible units a day in each lane (a lane that is not named has none).

    `base_rate` is the incumbent's share of bad units, 0 to 1; `tolerated` the ratio of the guardrail that is asked about.
    Raises ValueError for a rate out of range.
    """
    if not 0 < base_rate < 1:
        raise ValueError("a base rate is above 0 and below 1")
    lanes = tuple(dict.fromkeys(stage.lane for stage in plan.stages))
    weights: dict[str, int] = {}
    evidence: dict[int, tuple[float, float]] = {}
    found = []
    for stage in (*plan.stages, plan.promoting):
        weights |= dict.fromkeys(lanes, stage.weight) if stage is plan.promoting else {stage.lane: stage.weight}
        widened = lanes if stage is plan.promoting else (stage.lane,)
        arriving = sum(runs_a_day.get(lane, 0.0) for lane in widened) * stage.weight / _WHOLE
        days = _days(stage, arriving)
        if days is not None:
            _gather(evidence, weights, runs_a_day, days)
        found.append(
            StageForecast(
                lane=stage.lane,
                weight=stage.weight,
                approve=stage.approve,
                runs=stage.runs,
                runs_a_day=arriving,
                bake_days=stage.bake_ms / _DAY_MS,
                days=days,
                smallest_ratio=smallest_ratio(evidence, base_rate, threshold_of(plan), tolerated),
            )
        )
    lasting = [each.days for each in found]
    return Forecast(
        shadow_days=_shadow_days(plan, sum(runs_a_day.get(lane, 0.0) for lane in lanes)),
        stages=tuple(found),
        days=None if None in lasting else sum(days for days in lasting if days is not None),
        refused=tuple(_refused(plan, found)),
        warnings=tuple(_warnings(plan, found)),
    )


def smallest_ratio(
    units: Mapping[int, tuple[float, float]], base_rate: float, threshold: float, tolerated: float = 1.0
) -> float | None:
    """The smallest rate ratio that is called in about 80 % of cases; None when not even the largest is.

    `units` is allocation of 10,000 to expected (canary, control) units.
    """

    def seen(ratio: float) -> bool:
        return _growth(units, base_rate, ratio, tolerated) >= log(threshold)

    low, high = tolerated, min(LARGEST, 1 / base_rate)
    if high <= low or not seen(high):
        return None
    while high / low > 1.001:
        middle = sqrt(low * high)
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def _growth(units: Mapping[int, tuple[float, float]], base_rate: float, ratio: float, tolerated: float) -> float:
    """Logarithm of the e-value that is reached in about 80 % of cases."""
    bets = []
    for multiple in WORSE:
        mean = variance = 0.0
        for allocation, (canary, control) in units.items():
            odds = tolerated * allocation / (_WHOLE - allocation)
            of_control = log((1 + odds) / (1 + multiple * odds))
            of_canary = log(multiple) + of_control
            bad_canary, bad_control = canary * base_rate * ratio, control * base_rate
            mean += bad_canary * of_canary + bad_control * of_control
            variance += bad_canary * of_canary**2 + bad_control * of_control**2
        bets.append(mean - _Z * sqrt(variance))
    return log_mean(bets)


def _days(stage: Stage, arriving: float) -> float | None:
    return max(stage.bake_ms / _DAY_MS, stage.runs / arriving) if arriving > 0 else None


def _gather(
    evidence: dict[int, tuple[float, float]], weights: Mapping[str, int], runs_a_day: Mapping[str, float], days: float
) -> None:
    """Add the units of a stage: every lane that is exposed goes on gathering at its own weight."""
    for lane, weight in weights.items():
        units = runs_a_day.get(lane, 0.0) * days
        canary, control = evidence.get(weight, (0.0, 0.0))
        evidence[weight] = (canary + units * weight / _WHOLE, control + units * (1 - weight / _WHOLE))


def _shadow_days(plan: Plan, arriving: float) -> float | None:
    """A shadowed run counts as one pair: of longer runs more are compared, so this is the longest it takes."""
    if not plan.trios:
        return 0.0
    trios = arriving * plan.shadow_rate / _WHOLE * plan.shadow_secondary / _WHOLE
    return plan.trios / trios if trios > 0 else None


def _refused(plan: Plan, stages: Iterable[StageForecast]) -> Iterable[str]:
    deadline = plan.deadline_ms / _DAY_MS
    for stage in stages:
        if stage.days is None:
            yield f"{_name(stage)}: no runs are expected there, so it would never end"
        elif stage.days > deadline:
            yield f"{_name(stage)}: needs {stage.days:.1f} days, and the deadline of a stage is {deadline:.1f}"


def _warnings(plan: Plan, stages: Iterable[StageForecast]) -> Iterable[str]:
    grace = plan.grace_ms / _DAY_MS
    for stage in stages:
        if 0 < stage.runs_a_day * grace < _EXPECTED:
            yield f"{_name(stage)}: {stage.runs_a_day * grace:.1f} runs are expected within the grace, so it may freeze for want of data"
        if stage.days is not None and stage.smallest_ratio is None:
            yield f"{_name(stage)}: sees no regression, however large, with so few runs"


def _name(stage: StageForecast) -> str:
    return f"{stage.weight / 100:g} % of {stage.lane}"
