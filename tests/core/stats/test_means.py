"""Intervals of means: clustered errors against naive ones, and the betting interval at small samples, with fixed seeds."""

from __future__ import annotations

import random
from math import sqrt
from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stats.means import betting, clustered

VALUES = st.lists(st.floats(-1, 1), min_size=2, max_size=40)


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_items_without_a_name_are_a_paired_t_interval(values: list[float]) -> None:
    """Clusters of one are the textbook's paired interval, cut to -1 and 1."""
    found = clustered([(value, "") for value in values])
    error = stdev(values) / sqrt(len(values))
    assert found.estimate == pytest.approx(mean(values))
    assert -1 <= found.low <= found.estimate + 1e-9 and found.estimate - 1e-9 <= found.high <= 1
    if error > 1e-9 and len(values) == 2:
        assert found.high == pytest.approx(min(mean(values) + 12.706205 * error, 1), abs=1e-6)


def test_repeating_items_in_a_cluster_proves_nothing_more() -> None:
    """Ten copies of each item, named as one cluster, have the interval of the items; as strangers they look ten times as many."""
    dice = random.Random(11)
    items = [dice.uniform(-1, 1) for _ in range(30)]
    once = clustered([(value, "") for value in items])
    copies = [(value, f"c{place}") for place, value in enumerate(items) for _ in range(10)]
    assert clustered(copies).high == pytest.approx(once.high)
    naive = clustered([(value, "") for value, _ in copies])
    assert naive.high - naive.low < 0.4 * (once.high - once.low)


def coverage(dice: random.Random, samples: int, *, named: bool) -> float:
    """Share of intervals that hold a true mean of 0, when items of a cluster share most of their difference."""
    held = 0
    for _ in range(samples):
        drawn = []
        for cluster in range(25):
            shared = dice.uniform(-0.6, 0.6)
            drawn += [(shared + dice.uniform(-0.2, 0.2), f"c{cluster}" if named else "") for _ in range(6)]
        found = clustered(drawn)
        held += found.low <= 0 <= found.high
    return held / samples


def test_clusters_cover_where_naive_intervals_do_not() -> None:
    """With items that depend on each other the clustered interval holds at 95 percent, and the naive one in about six of ten."""
    dice = random.Random(4)
    assert coverage(dice, 160, named=True) >= 0.92
    assert coverage(dice, 80, named=False) <= 0.75


def test_no_spread_still_has_a_width() -> None:
    """Items without any difference prove little when few and more when many; one cluster proves nothing."""
    few, many = (clustered([(0.0, "")] * count) for count in (10, 1000))
    assert few.high > 0.2 and 0.002 < many.high < 0.02 and many.low == pytest.approx(-many.high)
    assert clustered([(0.5, "a"), (0.4, "a")]).low == -1
    for wrong in ([], [(1.5, "")]):
        with pytest.raises(ValueError, match="between -1 and 1"):
            clustered(wrong)


SHAPES = {
    "rare": lambda dice: float(dice.random() < 0.03),
    "coin": lambda dice: float(dice.random() < 0.5),
    "graded": lambda dice: dice.betavariate(4, 1),
    "flips": lambda dice: 0.5 + 0.5 * ((dice.random() < 0.02) - (dice.random() < 0.02)),
}
MEANS = {"rare": 0.03, "coin": 0.5, "graded": 0.8, "flips": 0.5}


@pytest.mark.parametrize(
    ("samples", "sizes"), [(60, (20, 100)), pytest.param(2000, (10, 20, 50, 200), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_betting_covers_at_any_size(shape: str, samples: int, sizes: tuple[int, ...]) -> None:
    """A 90 percent interval holds the mean in at least 90 percent of samples, small and skewed ones too."""
    dice = random.Random(f"betting {shape}")
    for size in sizes:
        held = 0
        for _ in range(samples):
            low, high = betting([SHAPES[shape](dice) for _ in range(size)], 0.9)
            held += low <= MEANS[shape] <= high
        assert held >= 0.9 * samples


def test_betting_narrows() -> None:
    """It mirrors, lies within 0 and 1, uses a small spread, and more values say more."""
    dice = random.Random(8)
    values = [dice.random() < 0.9 for _ in range(400)]
    low, high = betting(values)
    assert betting([1 - value for value in values]) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    assert 0.83 < low < 0.9 < high < 0.95
    assert betting([0.5] * 100)[1] - 0.5 < 0.04
    first = betting(values[:40])
    assert first[1] - first[0] > 2 * (high - low)
    assert betting([]) == (0.0, 1.0)
    for wrong in ([1.2], [-0.1]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            betting(wrong)
