"""What a suite can show, against the tables of the design and against the test itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.core.contract.evidence import Word
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.feasible import forecast, power, smallest, smallest_under
from gateway.core.gate.paired import compare
from gateway.core.gate.policy import Declared, Policy
from tests.core.gate.evidences import declared, flips, suite

TASK, SAFETY, REGRESSION = SuiteKind.TASK, SuiteKind.SAFETY, SuiteKind.REGRESSION


@pytest.mark.parametrize(("margin", "items"), [(0.05, 52), (0.02, 133), (0.01, 268)])
def test_the_smallest_suites(margin: float, items: int) -> None:
    """Those of the design; and the very test passes there and not below."""
    assert smallest(margin) == items
    policy = declared(TASK, margin=margin)
    for count, word in ((items, Word.GO), (items - 1, Word.INSUFFICIENT)):
        assert compare(suite(flips(count)), policy.suites[0], policy).verdict is word


@pytest.mark.parametrize(("ceiling", "items"), [(0.05, 59), (0.02, 149), (0.01, 299), (1.0, 1)])
def test_the_smallest_suites_under_a_ceiling(ceiling: float, items: int) -> None:
    """Three over the ceiling, exactly."""
    assert smallest_under(ceiling) == items
    policy = declared(SAFETY, ceiling=ceiling, margin=0.9)
    if items > 1:
        assert compare(suite(flips(items), SAFETY), policy.suites[0], policy).verdict is Word.GO
        assert compare(suite(flips(items - 1), SAFETY), policy.suites[0], policy).verdict is Word.INSUFFICIENT


@pytest.mark.parametrize(
    ("items", "margin", "rates"),
    [
        (100, 0.05, (0.79, 0.55, 0.40)),
        (200, 0.05, (0.99, 0.85, 0.63)),
        (500, 0.05, (1.0, 0.996, 0.94)),
        (500, 0.02, (0.88, 0.56, 0.35)),
        (1000, 0.02, (0.99, 0.81, 0.57)),
    ],
)
def test_power_is_that_of_the_design(items: int, margin: float, rates: tuple[float, float, float]) -> None:
    """The table of rollout.md, for 1, 3 and 6 percent of items that flip each way."""
    for share, rate in zip((0.01, 0.03, 0.06), rates, strict=True):
        assert power(items, margin, share) == pytest.approx(rate, abs=0.015)


def test_power_at_the_edges() -> None:
    """Without flips it is a matter of size; with every item flipping nothing is shown."""
    assert (power(52, 0.05, 0.0), power(51, 0.05, 0.0)) == (1.0, 0.0)
    assert power(60, 0.05, 0.5) < 0.4
    with pytest.raises(ValueError, match="between 0 and 1"):
        smallest(0.0)


@pytest.mark.parametrize(
    ("found", "items", "possible", "told"),
    [
        (Declared("s@1", "d", TASK), 51, False, "cannot pass below 52 items"),
        (Declared("s@1", "d", TASK), 100, True, "passes in 55% of runs if 3% of items flip"),
        (Declared("s@1", "d", SAFETY, ceiling=0.01), 200, False, "cannot pass below 299 items"),
        (Declared("s@1", "d", TASK, repeats=5), 53, False, "asked 5 times each it cannot pass"),
        (Declared("s@1", "d", TASK, repeats=5), 150, True, "asked 5 times each"),
        (Declared("s@1", "d", TASK, margin=0.0), 150, False, "cannot pass"),
        (Declared("s@1", "d", REGRESSION), 20, True, "20 must-pass items"),
        (Declared("s@1", "d", REGRESSION, repeats=3), 20, False, "5 repeats are needed"),
    ],
)
def test_what_is_told_before_a_run(found: Declared, items: int, possible: bool, told: str) -> None:
    """Whether it can pass at all, and how likely an equally good candidate does."""
    made = forecast(found, items)
    assert made.possible is possible
    assert told in made.say


@pytest.mark.parametrize(
    ("found", "sources", "possible", "told"),
    [
        (Declared("s@1", "d", TASK), 6, False, "they come from 6 sources"),
        (Declared("s@1", "d", SAFETY, margin=0.5, ceiling=0.1), 20, False, "they come from 20 sources"),
        (Declared("s@1", "d", SAFETY, margin=0.5, ceiling=0.2), 20, True, "an equally good candidate passes"),
    ],
)
def test_items_of_one_source_are_forecast_as_the_test_takes_them(
    found: Declared, sources: int, possible: bool, told: str
) -> None:
    """A suite of two hundred items that come from few sources is said beforehand to be one that cannot pass, where the very test
    does not pass it without a single failure."""
    groups = [f"g{at % sources}" for at in range(200)]
    made = forecast(found, 200, groups=groups)
    assert made.possible is possible
    assert told in made.say
    clean = [replace(score, group=group) for score, group in zip(flips(200), groups, strict=True)]
    policy = Policy((found,))
    assert (compare(suite(clean, found.kind), found, policy).verdict is Word.GO) is possible
