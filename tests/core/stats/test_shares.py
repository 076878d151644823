"""The exact interval of a share: known values, what its bounds mean, and how often it holds."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stats.shares import clopper_pearson


@pytest.mark.parametrize(
    ("events", "trials", "confidence", "low", "high"),
    [
        (0, 10, 0.95, 0.0, 0.308498),
        (3, 10, 0.95, 0.066740, 0.652453),
        (10, 10, 0.95, 0.691503, 1.0),
        (0, 300, 0.90, 0.0, 0.009936),
        (1, 100, 0.95, 0.000253, 0.054459),
        (5, 100_000, 0.95, 0.0000162, 0.0001167),
    ],
)
def test_known_values(events: int, trials: int, confidence: float, low: float, high: float) -> None:
    """The bounds are those of the literature; none of n is the rule of three."""
    assert clopper_pearson(events, trials, confidence) == pytest.approx((low, high), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(trials=st.integers(1, 80), confidence=st.sampled_from((0.8, 0.9, 0.95, 0.99)), data=st.data())
def test_bounds_are_where_the_tails_are(trials: int, confidence: float, data: st.DataObject) -> None:
    """At each bound, what was seen or more extreme has just the chance that a side may miss."""
    events = data.draw(st.integers(0, trials))
    low, high = clopper_pearson(events, trials, confidence)
    assert 0 <= low <= events / trials <= high <= 1

    def chance(share: float, of: range) -> float:
        return sum(comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in of)

    tail = (1 - confidence) / 2
    assert low == 0 if events == 0 else chance(low, range(events, trials + 1)) == pytest.approx(tail, abs=1e-9)
    assert high == 1 if events == trials else chance(high, range(events + 1)) == pytest.approx(tail, abs=1e-9)


def test_it_covers() -> None:
    """For any share the chance that the interval holds it is at least the confidence: computed, not sampled."""
    for share in (0.003, 0.02, 0.11, 0.5, 0.83):
        held = 0.0
        for events in range(41):
            low, high = clopper_pearson(events, 40)
            held += (low <= share <= high) * comb(40, events) * share**events * (1 - share) ** (40 - events)
        assert held >= 0.95


def test_many_trials_agree_with_scipy() -> None:
    """Random counts give scipy's bounds, where scipy is there to ask."""
    scipy = pytest.importorskip("scipy.stats")
    dice = random.Random(5)
    for _ in range(50):
        trials = dice.randint(1, 5000)
        events = dice.randint(0, trials)
        found = scipy.binomtest(events, trials).proportion_ci(0.95, "exact")
        assert clopper_pearson(events, trials) == pytest.approx((found.low, found.high), abs=1e-9)


def test_counts_that_cannot_be() -> None:
    """Nothing tried is nothing known; more events than trials is an error."""
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    for events, trials, confidence in ((3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)):
        with pytest.raises(ValueError, match="cannot be"):
            clopper_pearson(events, trials, confidence)
