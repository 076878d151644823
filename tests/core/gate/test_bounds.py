"""Bounds of shares and means: as wide as the data need, whatever the order."""

from __future__ import annotations

import random

import pytest

from gateway.core.gate.bounds import Drop, bounds_of_means, share_bounds


def even(count: int, drop: float = 0.0) -> list[Drop]:
    """Items that all drop as much."""
    return [(f"i{at}", "", drop) for at in range(count)]


@pytest.mark.parametrize("items", [100, 132, 133])
def test_no_spread_has_the_width_of_tango(items: int) -> None:
    """Without any difference 5 points pass from 100 items on, and 2 points need Tango's 133."""
    assert bounds_of_means(even(items), 0.05, 0.05).high < 0.05
    assert (bounds_of_means(even(items), 0.02, 0.05).high < 0.02) is (items >= 133)


def test_below_a_hundred_items_bets_are_taken() -> None:
    """A small suite has the bound that holds at any size: wider than the t interval, and still a bound."""
    small = bounds_of_means(even(50), 0.05, 0.05)
    assert (small.method, small.estimate) == ("betting", 0.0)
    assert 0.05 < small.high < 0.15
    assert small.low == pytest.approx(-small.high)


def test_a_source_counts_once() -> None:
    """Ten copies of each item say little more than one of each: the bound is about three times wider than that of singles."""
    dice = random.Random(2)
    drops = [dice.choice((-1.0, 0.0, 0.0, 1.0)) for _ in range(40)]
    copied = [(f"{at}.{copy}", f"g{at}", drop) for at, drop in enumerate(drops) for copy in range(10)]
    single = [(item, "", drop) for item, _, drop in copied]
    grouped, alone = bounds_of_means(copied, 0.05, 0.05), bounds_of_means(single, 0.05, 0.05)
    assert grouped.estimate == pytest.approx(alone.estimate)
    assert grouped.high - grouped.estimate > 2.8 * (alone.high - alone.estimate)


def test_few_sources_are_not_many_items() -> None:
    """Two hundred items of five sources are bet on by source."""
    found = bounds_of_means([(str(at), f"g{at % 5}", 0.0) for at in range(200)], 0.05, 0.05)
    assert found.method == "betting"
    assert found.high > 0.3


def test_unequal_sources_are_weighed_by_their_items() -> None:
    """The bets are on the mean over items: a large source that drops weighs as its items do."""
    drops = [(f"a{at}", "big", 1.0) for at in range(30)] + [(f"b{at}", "", 0.0) for at in range(30)]
    found = bounds_of_means(drops, 0.05, 0.05)
    assert found.estimate == 0.5
    assert found.low <= 0.5 <= found.high


@pytest.mark.parametrize("items", [60, 150])
def test_order_does_not_matter(items: int) -> None:
    """Shuffled drops have the same bounds to the last digit."""
    dice = random.Random(4)
    drops = [(f"i{at}", f"g{at % 31}", dice.uniform(-1, 1)) for at in range(items)]
    assert bounds_of_means(dice.sample(drops, items), 0.05, 0.05) == bounds_of_means(drops, 0.05, 0.05)


@pytest.mark.parametrize(("items", "draws"), [(60, 150), (120, 400)])
def test_a_bound_is_missed_in_few_runs(items: int, draws: int) -> None:
    """The true mean drop lies above the upper bound in at most 5 percent of runs and some slack, with rare gross drops."""
    dice, missed, true = random.Random(8), 0, 0.05
    for _ in range(draws):
        drops = [(f"i{at}", "", 0.8 if dice.random() < true / 0.8 else 0.0) for at in range(items)]
        missed += bounds_of_means(drops, true, 0.05).high < true
    assert missed <= 0.09 * draws


def test_share_bounds() -> None:
    """No event among 149 items is below 2 percent, among 148 it is not: three over n, exactly."""
    assert share_bounds(0, 149, 0.05).high < 0.02 < share_bounds(0, 148, 0.05).high
    assert share_bounds(5, 100, 0.05).low < 0.05 < share_bounds(5, 100, 0.05).high
