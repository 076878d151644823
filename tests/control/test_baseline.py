"""Thresholds from the incumbent's last steps."""

from __future__ import annotations

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


def step(number: int, release: str = "rel_a", **more: object) -> Step:
    """A good step that took `number` milliseconds."""
    said = {"outcome": Outcome.OK, "usage": Usage(10, number), "source": Source.HEADER, **more}
    return Step("q", 1, "agent", release, "agent", "m", "m", status=200, at_ms=1000 + number, total_ms=number, **said)  # type: ignore[arg-type]


async def test_percentiles_of_enough_observations() -> None:
    """p95 and p05 come from values of good steps, steps from the length of runs, outcomes from reports; numbers stay as given."""
    steps = [step(n) for n in range(1, 101)] + [step(90_000, outcome=Outcome.TIMEOUT)]
    observed = Observations([steps], list(range(1, 101)), [Report(1, {"score": n / 100}) for n in range(100)])
    limits, missing = thresholds(WANTED, observed)
    assert limits == {"latency_ms": 95.05, "output_tokens": 5.95, "steps": 95.05, "outcome.score": 0.05}
    assert missing == {}


async def test_too_few_are_no_threshold() -> None:
    """Below LEAST observations a metric has no limit, and it is named with the number there was."""
    observed = Observations([[step(n) for n in range(LEAST - 1)]], [], [])
    limits, missing = thresholds(WANTED, observed)
    assert limits == {}
    assert missing == {"latency_ms": LEAST - 2, "output_tokens": LEAST - 1, "steps": 0, "outcome.score": 0}


async def test_reads_the_incumbent_only(desk: Desk, made: Make) -> None:
    """Steps of other releases and aliases do not count, and requests with tools are counted with and without a run."""
    a, b = await made("A"), await made("B")
    rollout = Rollout("0" * 16, b, a, ("*",), Plan((OWN,), OWN, WANTED))
    for number in range(60):
        tools = "t" * 64 if number < 15 else ""
        for release in (a, b):
            single = step(number + 1, release, source=Source.NONE, tools=tools)
            await desk.store.do("XADD", desk.store.keys.steps("agent"), "*", "entry", encode_entry(single))
    for number in range(20):
        await bound(desk, f"r{number}", a, at_ms=1000)
        for one in range(2):
            named = step(100 + one, a, tools="t" * 64)
            await desk.store.do(
                "XADD", desk.store.keys.journal("default", f"r{number}"), "*", "entry", encode_entry(named)
            )
    found = await baseline(desk, "agent", rollout)
    assert found.limits == {"latency_ms": 101.0, "output_tokens": 5.95}
    assert found.missing == {"steps": 80, "outcome.score": 0}
    assert (found.tools, found.nameless) == (55, 15 / 55)
