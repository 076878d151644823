"""Thresholds from the incumbent's last steps."""

from __future__ import annotations

import random

import pytest

from gateway.control.baseline import LEAST, Observations, baseline, thresholds
from gateway.control.desk import Desk
from gateway.core.contract.exchange import Outcome, Usage
from gateway.core.contract.journal import Report, Step
from gateway.core.contract.rollout import Guardrail, Plan, Rollout, Stage
from gateway.core.contract.run import Source
from gateway.store.records import encode_entry
from tests.control.conftest import Make
from tests.control.test_runs import bound

pytestmark = pytest.mark.anyio

OWN = Stage("*", 9500, 0, 1)
WANTED = (
    Guardrail("latency_ms", above="p95"),
    Guardrail("output_tokens", below="p05"),
    Guardrail("steps", above="p95"),
    Guardrail("outcome.score", below="p05"),
    Guardrail("cost_micro", above=500.0),
    Guardrail("error"),
)


def step(number: int, release: str = "rel_a", at: int = 1, **more: object) -> Step:
    """A good step, the `at`-th of its run, that took `number` milliseconds."""
    said = {"outcome": Outcome.OK, "usage": Usage(10, number), "source": Source.HEADER, **more}
    return Step("q", at, "agent", release, "agent", "m", "m", status=200, at_ms=1000 + number, total_ms=number, **said)  # type: ignore[arg-type]


async def test_percentiles_of_enough_observations() -> None:
    """p95 and p05 come from values of good steps, steps from the length of runs, outcomes from reports; numbers stay as given."""
    steps = [[step(n, at=n)] for n in range(1, 101)] + [[step(90_000, outcome=Outcome.TIMEOUT)]]
    observed = Observations(steps, [Report(1, {"score": n / 100}) for n in range(100)])
    limits, missing = thresholds(WANTED, observed)
    assert limits == {"latency_ms": 95.05, "output_tokens": 5.95, "steps": 95.0, "outcome.score": 0.05}
    assert missing == {}


async def test_too_few_are_no_threshold() -> None:
    """Below LEAST observations a metric has no limit, and it is named with the number there was."""
    observed = Observations([[step(n)] for n in range(LEAST - 1)], [])
    limits, missing = thresholds(WANTED, observed)
    assert limits == {}
    assert missing == {"latency_ms": LEAST - 2, "output_tokens": LEAST - 1, "steps": LEAST - 1, "outcome.score": 0}


async def test_a_threshold_is_one_of_runs() -> None:
    """A run is bad with its worst request: of runs of fifty requests about one in twenty is, and not nearly every one; a run that
    another alias takes part in, or that was started by the runs API, is as long as its guardrail will hear."""
    dice = random.Random(3)
    runs = [[step(dice.randrange(1, 1000), at=2 * at) for at in range(1, 51)] for _ in range(200)]
    limits, _ = thresholds((*WANTED[:3],), Observations(runs, []))
    bad = [
        sum(max(one.total_ms for one in each) > limits["latency_ms"] for each in runs),
        sum(min(one.usage.output for one in each if one.usage) < limits["output_tokens"] for each in runs),
        sum(each[-1].step > limits["steps"] for each in runs),
    ]
    assert all(count <= 10 for count in bad), bad
    assert bad[0] >= 5
    assert limits["steps"] == 100


async def test_reads_the_incumbent_only(desk: Desk, made: Make) -> None:
    """Steps of other releases and aliases do not count, and requests with tools are counted with and without a run."""
    a, b = await made("A"), await made("B")
    rollout = Rollout("0" * 16, b, a, ("*",), Plan((OWN,), OWN, WANTED))
    for number in range(80):
        tools = "t" * 64 if number < 15 else ""
        for release in (a, b):
            single = step(number + 1, release, source=Source.NONE, tools=tools)
            await desk.store.do("XADD", desk.store.keys.steps("agent"), "*", "entry", encode_entry(single))
    for number in range(20):
        await bound(desk, f"r{number}", a, at_ms=1000)
        for one in range(2):
            named = step(100 + one, a, at=1 + one, tools="t" * 64)
            await desk.store.do(
                "XADD", desk.store.keys.journal("default", f"r{number}"), "*", "entry", encode_entry(named)
            )
    found = await baseline(desk, "agent", rollout)
    assert found.limits == {"latency_ms": 101.0, "output_tokens": 5.95, "steps": 2.0}
    assert found.missing == {"outcome.score": 0}
    assert (found.tools, found.nameless) == (55, 15 / 55)
