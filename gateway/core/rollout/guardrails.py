"""From counts to findings: which events are bad under a plan, what the numbers say of each guardrail, and whether they can be trusted.

Rule of the file: a regression wins over everything; what was not observed is no data, never zero and never a pass. The share of
false alarms of a rollout is split over the guardrails that act, because any one of them is enough to act.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

from gateway.core.contract.alias import Arm
from gateway.core.contract.journal import Event
from gateway.core.contract.rollout import Action, Finding, Guardrail, Plan, Rollout, Tally, Verdict
from gateway.core.rollout.metrics import OUTCOME, has_value, is_always_seen
from gateway.core.stats import counts, ratio

MISMATCH = 1000.0
"""E-value at which assignments are said to be off: at most one false alarm in a thousand rollouts, however often it is looked at."""
TWICE_LEAST = 3
TWICE_SHARE = 0.01
"""Units in both arms are a fault above this many and this share of all; a run that an operator restarted is none."""
_FALSE = 0.5
"""An outcome without limits is bad below this: reported as false."""


def limits_of(rollout: Rollout, guardrail: Guardrail) -> tuple[float | None, float | None]:
    """The bounds above and below which a value is bad; None for none, or none yet.

    A word such as `p95` stands for the number in `rollout.limits`.
    """
    above, below = (_number(rollout, guardrail.metric, side) for side in (guardrail.above, guardrail.below))
    if guardrail.metric.startswith(OUTCOME) and guardrail.above == "" and guardrail.below == "":
        return None, _FALSE
    return above, below


def bad_of(rollout: Rollout, event: Event) -> tuple[str, ...]:
    """Metrics of the plan's guardrails that this event shows as bad."""
    found = []
    for guardrail in rollout.plan.guardrails:
        metric = guardrail.metric
        if metric in event.bad:
            found.append(metric)
        elif metric in event.values and has_value(metric):
            above, below = limits_of(rollout, guardrail)
            value = event.values[metric]
            if (above is not None and value > above) or (below is not None and value < below):
                found.append(metric)
    return tuple(found)


def seen_of(rollout: Rollout, event: Event) -> tuple[str, ...]:
    """Metrics of the plan's guardrails that this event observes at all, of those that not every unit shows."""
    return tuple(
        guardrail.metric
        for guardrail in rollout.plan.guardrails
        if not is_always_seen(guardrail.metric) and (guardrail.metric in event.values or guardrail.metric in event.bad)
    )


def threshold_of(plan: Plan) -> float:
    """E-value at which a guardrail has regressed: `alpha` is split over those that roll back or freeze."""
    acting = sum(guardrail.action is not Action.OBSERVE for guardrail in plan.guardrails)
    return max(acting, 1) / plan.alpha


def findings(rollout: Rollout, tally: Tally) -> tuple[Finding, ...]:
    """What the counts say, a finding per guardrail in the plan's order.

    `fail` at the threshold; else `no_data` where an arm showed nothing of the metric, or its limit is missing; else
    `inconclusive` from the root of the threshold on (half the way there, in bets), or while a proof of non-inferiority that the
    plan asks for is missing; else `pass`. The proof takes 1 / alpha undivided: all of them are needed, so none adds false ones.
    """
    threshold = threshold_of(rollout.plan)
    return tuple(_finding(rollout, tally, guardrail, threshold) for guardrail in rollout.plan.guardrails)


def health(rollout: Rollout, tally: Tally) -> tuple[str, ...]:
    """Why the counts cannot be trusted: `sample_ratio`, `exposed_twice`, `missing_outcomes`. A lane is judged by itself.

    Outcomes are missing when reports of a watched outcome do not fall on the arms as units do; only a strong difference
    counts, by a sequential test, so neither delay nor a few lost reports are one.
    """
    causes = []
    first = tally.first or tally.units
    if log_mismatch(first, ratio.SLIGHT) >= log(MISMATCH):
        causes.append("sample_ratio")
    if tally.twice >= TWICE_LEAST and tally.twice > TWICE_SHARE * sum(first.values()):
        causes.append("exposed_twice")
    outcomes = [g.metric for g in rollout.plan.guardrails if g.metric.startswith(OUTCOME)]
    if any(
        log_mismatch(tally.seen.get(metric, {}), ratio.STRONG) >= log(MISMATCH * len(outcomes)) for metric in outcomes
    ):
        causes.append("missing_outcomes")
    return tuple(causes)


def log_mismatch(units: Mapping[str, int], multiples: tuple[float, ...]) -> float:
    """Evidence, as a logarithm, that units did not fall on the arms by their allocation: the mean over the lanes' e-values."""
    lanes: dict[str, dict[str, int]] = {}
    for key, count in units.items():
        lanes.setdefault(split_key(key)[0], {})[key] = count
    if not lanes:
        return 0.0
    return counts.log_mean([ratio.log_e_value(by_allocation(lane), multiples) for lane in lanes.values()])


def key_of(lane: str, arm: str, allocation: int) -> str:
    """Key of a tally's inner maps."""
    return f"{lane} {arm} {allocation}"


def split_key(key: str) -> tuple[str, str, int]:
    """Lane, arm and allocation of such a key; a lane may have spaces."""
    lane, arm, allocation = key.rsplit(" ", 2)
    return lane, arm, int(allocation)


def by_allocation(counted: Mapping[str, int]) -> dict[int, tuple[int, int]]:
    """Allocation to counts of (canary, control), over all lanes."""
    found: dict[int, tuple[int, int]] = {}
    for key, count in counted.items():
        _, arm, allocation = split_key(key)
        canary, control = found.get(allocation, (0, 0))
        found[allocation] = (canary + count, control) if arm == Arm.CANARY else (canary, control + count)
    return found


def _finding(rollout: Rollout, tally: Tally, guardrail: Guardrail, threshold: float) -> Finding:
    metric = guardrail.metric
    bad = by_allocation(tally.bad.get(metric, {}))
    units = by_allocation(tally.units if is_always_seen(metric) else tally.seen.get(metric, {}))
    evidence = counts.log_e_value(bad, guardrail.ratio)
    noninferior = counts.log_noninferior(bad, guardrail.noninferior) if guardrail.noninferior else 0.0
    shown = not guardrail.noninferior or noninferior >= -log(rollout.plan.alpha)
    above, below = limits_of(rollout, guardrail)
    canary_units, control_units = _sums(units)
    canary_bad, control_bad = _sums(bad)
    if evidence >= log(threshold):
        verdict = Verdict.FAIL
    elif not canary_units or not control_units or (has_value(metric) and above is None and below is None):
        verdict = Verdict.NO_DATA
    elif evidence >= log(threshold) / 2 or not shown:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASS
    return Finding(
        metric=metric,
        action=guardrail.action,
        verdict=verdict,
        e_value=counts.e_value(evidence),
        threshold=threshold,
        canary_bad=canary_bad,
        canary_units=canary_units,
        control_bad=control_bad,
        control_units=control_units,
        ratio=guardrail.ratio,
        noninferior_e=counts.e_value(noninferior) if guardrail.noninferior else 0.0,
        limit=above if above is not None else below,
    )


def _sums(counted: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
    return sum(canary for canary, _ in counted.values()), sum(control for _, control in counted.values())


def _number(rollout: Rollout, metric: str, bound: float | str) -> float | None:
    if isinstance(bound, str):
        return rollout.limits.get(metric) if bound else None
    return float(bound)
