"""What the incumbent does before anybody is exposed: thresholds of values, and how many requests with tools name no run.

Rule of the file: a threshold is fixed once, from enough runs of the incumbent alone, or it is not there at all: a metric without
one has no data, never a guess. A run is bad with its worst request, so the threshold is one of worst requests: with one of all
requests nearly every run of fifty would be bad in both arms, and nothing could be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from types import MappingProxyType

from gateway.control.desk import Desk
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Report, Step
from gateway.core.contract.rollout import Guardrail, Rollout
from gateway.core.contract.run import run_digest
from gateway.store import runs

LEAST = 100
"""Runs, or reports, below which a percentile is no threshold."""
STEPS = 2000
"""Newest steps of runs of one request that are looked at."""
RUNS = 300
"""Newest runs of the incumbent whose journals are looked at."""
NAMELESS_LEAST = 20
"""Requests with tools below which nothing is said of them."""
NAMELESS_LIMIT = 0.1
"""Share of requests with tools that may name no run, at stakes `high`: such a request may get another release on each turn."""

PERCENTILES: Mapping[str, int] = MappingProxyType({"p05": 0, "p95": 18})
"""Word of a guardrail to the cut among twenty."""

OF_STEP: Mapping[str, Callable[[Step], float | None]] = MappingProxyType(
    {
        "latency_ms": lambda step: step.total_ms or None,
        "first_byte_ms": lambda step: step.first_byte_ms or None,
        "input_tokens": lambda step: float(step.usage.input) if step.usage is not None else None,
        "output_tokens": lambda step: float(step.usage.output) if step.usage is not None else None,
        "cost_micro": lambda step: float(step.cost_micro) if step.cost_micro is not None else None,
    }
)
"""Values that every step has by itself. `steps` is of a run, `outcome.NAME` of its reports."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the sample of the incumbent says."""

    limits: Mapping[str, float] = field(default_factory=dict)
    """Threshold by metric, where there were enough observations."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Metrics that want a threshold and have none, with the number of observations."""
    tools: int = 0
    """Requests with tools in the sample."""
    nameless: float | None = None
    """Share of them that name no run; None below NAMELESS_LEAST."""


async def baseline(desk: Desk, alias: str, rollout: Rollout) -> Baseline:
    """Read the newest steps of the incumbent. A few hundred reads: for entering the canary, not for every round."""
    single, all_single = await runs.of_one_request(desk.store, alias, limit=STEPS)
    single = [step for step in single if step.release == rollout.incumbent]
    stamps = [
        stamp for stamp in await runs.of_release(desk.store, rollout.incumbent, limit=RUNS) if stamp.alias == alias
    ]
    named: list[list[Step]] = []
    reports: list[Report] = []
    for stamp in stamps:
        kept = await runs.journal(desk.store, run_digest(stamp.tenant, stamp.run))
        named.append([step for step in kept.steps if step.alias == alias and step.release == rollout.incumbent])
        reports += kept.outcomes
    observed = Observations([*([step] for step in single), *named], reports)
    limits, missing = thresholds(rollout.plan.guardrails, observed)
    tools, nameless = _nameless(single, named, whole=(all_single, len(stamps) < RUNS))
    return Baseline(limits, missing, tools, nameless)


@dataclass(frozen=True, slots=True)
class Observations:
    """A sample of the incumbent: the steps of each run, and what was reported."""

    steps: Sequence[Sequence[Step]]
    reports: Sequence[Report]

    def of(self, metric: str, worst: Callable[[Iterable[float]], float] = max) -> list[float]:
        """The worst value of each run, or every one that was reported; nothing for a metric that has no values. `steps` is the
        number of the last one, as guardrails see it: aliases of one run, and its start by the runs API, are numbered together."""
        if metric == "steps":
            return [float(max(step.step for step in steps)) for steps in self.steps if steps]
        if metric.startswith("outcome."):
            name = metric.removeprefix("outcome.")
            return [float(report.metrics[name]) for report in self.reports if name in report.metrics]
        read = OF_STEP.get(metric)
        if read is None:
            return []
        runs = ([read(step) for step in steps if step.outcome is Outcome.OK] for steps in self.steps)
        known = ([value for value in values if value is not None] for values in runs)
        return [worst(values) for values in known if values]


def thresholds(guardrails: Iterable[Guardrail], observed: Observations) -> tuple[dict[str, float], dict[str, int]]:
    """Threshold by metric for every guardrail that asks for a percentile, and those for which there are too few observations."""
    limits: dict[str, float] = {}
    missing: dict[str, int] = {}
    for guardrail in guardrails:
        word = next((w for w in (guardrail.above, guardrail.below) if isinstance(w, str) and w), "")
        if word not in PERCENTILES:
            continue
        values = observed.of(guardrail.metric, max if guardrail.above else min)
        if len(values) < LEAST:
            missing[guardrail.metric] = len(values)
        else:
            limits[guardrail.metric] = round(quantiles(values, n=20, method="inclusive")[PERCENTILES[word]], 3)
    return limits, missing


def _nameless(
    single: Sequence[Step], named: Sequence[Sequence[Step]], *, whole: tuple[bool, bool]
) -> tuple[int, float | None]:
    """Requests with tools, and the share of them without a run, over the time that both samples cover."""
    begins = [
        min((step.at_ms for step in steps), default=0)
        for steps, all_there in ((single, whole[0]), ([s for steps in named for s in steps], whole[1]))
        if not all_there
    ]
    since = max(begins, default=0)
    without = sum(bool(step.tools) and step.at_ms >= since for step in single)
    within = sum(bool(step.tools) and step.at_ms >= since for steps in named for step in steps)
    tools = without + within
    return tools, (without / tools if tools >= NAMELESS_LEAST else None)
