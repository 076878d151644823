"""The detector of a rate that rose: what it is, how seldom it is wrong, and how soon it finds, with fixed seeds."""

from __future__ import annotations

import random
from math import prod
from statistics import mean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stats.beta import incomplete_beta
from gateway.core.stats.detector import ALPHA, BEGIN, SURE, WORSE, alarmed, seen, tolerated, value


def watched(dice: random.Random, rate: float, reference: float, alpha: float, most: int = 10**7) -> int:
    """Units until the alarm; good ones in a row are taken at once."""
    sums: tuple[float, ...] = BEGIN
    units = 0
    while units < most:
        good = int(dice.expovariate(1) / rate) if rate < 0.3 else 0
        if good:
            sums = seen(sums, reference, bad=False, units=good)
        sums = seen(sums, reference, bad=dice.random() < rate if rate >= 0.3 else True)
        units += good + 1
        if alarmed(sums, alpha):
            return units
    return units


@settings(max_examples=60, deadline=None)
@given(units=st.lists(st.booleans(), max_size=12), rate=st.floats(0.01, 0.6))
def test_it_is_the_sum_of_bets_begun_at_every_unit(units: list[bool], rate: float) -> None:
    """Written out: for each alternative the sum, over every moment, of the product of the factors since, and the mean of those."""
    sums: tuple[float, ...] = BEGIN
    for bad in units:
        sums = seen(sums, rate, bad=bad)
    expected = []
    for times in WORSE:
        odds = times * rate / (1 - rate)
        other = odds / (1 + odds)
        factors = [other / rate if bad else (1 - other) / (1 - rate) for bad in units]
        expected.append(sum(prod(factors[at:]) for at in range(len(factors))))
    assert list(sums) == pytest.approx(expected)
    assert value(sums) == pytest.approx(mean(expected))


@given(units=st.integers(1, 40), bad=st.booleans(), rate=st.floats(0.01, 0.9))
def test_many_at_once_are_as_one_by_one(units: int, bad: bool, rate: float) -> None:
    """A run of equal units gives what they give one after the other."""
    sums: tuple[float, ...] = BEGIN
    for _ in range(units):
        sums = seen(sums, rate, bad=bad)
    assert seen(BEGIN, rate, bad=bad, units=units) == pytest.approx(sums, rel=1e-9)


@given(sums=st.tuples(*[st.floats(0, 1e6)] * len(WORSE)), rate=st.floats(0.01, 0.9))
def test_a_unit_adds_one_in_expectation(sums: tuple[float, ...], rate: float) -> None:
    """At the tolerated rate the sum grows by exactly one a unit, at a lower one by less: what bounds false alarms."""
    up, down = value(seen(sums, rate, bad=True)), value(seen(sums, rate, bad=False))
    assert rate * up + (1 - rate) * down == pytest.approx(value(sums) + 1, rel=1e-9)
    assert up > down


def test_a_reference_tolerates_what_it_cannot_rule_out() -> None:
    """The tolerated rate is the exact upper bound: so few bad units or fewer have one percent of probability there."""
    rate = tolerated(3, 200)
    assert 0.015 < rate < 0.06
    assert incomplete_beta(rate, 4, 197) == pytest.approx(SURE)
    assert tolerated(0, 1000) == pytest.approx(1 - 0.01 ** (1 / 1000))
    assert tolerated(5, 5) == 1.0
    with pytest.raises(ValueError, match="bad units"):
        tolerated(6, 5)
    with pytest.raises(ValueError, match="rate"):
        seen(BEGIN, 0.0, bad=True)


def test_huge_evidence_is_a_number() -> None:
    """A hundred thousand bad units in a row are an alarm, not an overflow."""
    assert alarmed(seen(BEGIN, 0.01, bad=True, units=100_000), ALPHA)


@pytest.mark.parametrize(
    ("runs", "alpha", "least"),
    [(60, 1 / 300, 1.0), pytest.param(400, ALPHA, 1.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.4])
def test_false_alarms_are_as_rare_as_said(rate: float, runs: int, alpha: float, least: float) -> None:
    """At exactly the tolerated rate the average run to a false alarm is at least 1/alpha units."""
    dice = random.Random(f"false {rate} {alpha}")
    lengths = [watched(dice, rate, rate, alpha) for _ in range(runs)]
    assert mean(lengths) >= least / alpha, mean(lengths)


@pytest.mark.parametrize(("rate", "times", "units"), [(0.02, 3.0, 420), (0.05, 2.0, 450), (0.01, 10.0, 75)])
def test_a_rise_is_found(rate: float, times: float, units: int) -> None:
    """After a quiet time a rate that doubles or triples is found within so many units, at ten thousand to a false alarm."""
    dice = random.Random(f"rise {rate} {times}")
    needed = []
    for _ in range(40):
        quiet = seen(BEGIN, rate, bad=False, units=300)
        sums, count = quiet, 0
        while not alarmed(sums):
            sums = seen(sums, rate, bad=dice.random() < rate * times)
            count += 1
        needed.append(count)
    assert median(needed) <= units, median(needed)
