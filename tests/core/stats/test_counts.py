"""The count test of bad events: what it is, what it holds under any trend and ramp, and how soon it finds, with fixed seeds.

Only bad units are drawn; the ones between them are skipped by a geometric number.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from math import exp, log, log1p
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stats.counts import BETTER, WORSE, e_value, log_e_value, log_mean, log_noninferior

COUNT = st.integers(0, 400)
ALPHA = 0.05
HALF = ((20_000, 5000),)
SMALL = ((20_000, 500),)
RAMP = ((5000, 100), (5000, 500), (5000, 2500), (5000, 5000))
"""Units and allocation of each stage."""
SITUATIONS: dict[str, tuple[tuple[tuple[int, int], ...], Callable[[float], float]]] = {
    "half": (HALF, lambda at: 0.05),
    "small": (SMALL, lambda at: 0.05),
    "ramp": (RAMP, lambda at: 0.05),
    "ramp, rate rising": (RAMP, lambda at: 0.05 + 0.15 * at),
    "ramp, rate falling": (RAMP, lambda at: 0.20 - 0.15 * at),
}
"""Stages, and the control's rate by the part of all units that is over."""


def bad_units(
    dice: random.Random, stages: tuple[tuple[int, int], ...], rate: Callable[[float], float], times: float = 1.0
) -> Iterator[tuple[int, bool, int]]:
    """Allocation, whether it was the canary's, and number of each bad unit, the canary's rate being so many times the control's."""
    total, number, begin = sum(units for units, _ in stages), 0, 0
    top = max(rate(0.0), rate(0.5), rate(1.0)) * max(times, 1.0)
    for units, allocation in stages:
        begin, end, share = begin + units, begin + units, allocation / 10_000
        while True:
            number += 1 + int(log(1 - dice.random()) / log1p(-top))
            if number > end:
                number = end
                break
            canary = dice.random() < share
            if dice.random() < rate(number / total) * (times if canary else 1.0) / top:
                yield allocation, canary, number


def first_call(
    events: Iterator[tuple[int, bool, int]], evidence: Callable[[dict[int, tuple[int, int]]], float], *, rises: bool
) -> tuple[int, int] | None:
    """Allocation and number of the unit at which the evidence first reaches 1 / ALPHA; None when it never does.

    Evidence rises with the events of one arm only (`rises`: the canary's), so it is looked at after each of those.
    """
    counts: dict[int, tuple[int, int]] = {}
    for allocation, canary, number in events:
        before = counts.get(allocation, (0, 0))
        counts[allocation] = (before[0] + canary, before[1] + (not canary))
        if canary is rises and evidence(counts) >= -log(ALPHA):
            return allocation, number
    return None


@settings(max_examples=50, deadline=None)
@given(
    counts=st.dictionaries(st.integers(1, 9999), st.tuples(COUNT, COUNT), max_size=4),
    ratio=st.floats(0.5, 3),
    allocation=st.integers(1, 9999),
)
def test_one_more_event_is_a_fair_bet(counts: dict[int, tuple[int, int]], ratio: float, allocation: int) -> None:
    """At the tolerated ratio the expected e-value after one more event, under any allocation, is the e-value now."""
    share = ratio * allocation / (ratio * allocation + 10_000 - allocation)
    canary, control = counts.get(allocation, (0, 0))
    for evidence in (log_e_value, log_noninferior):
        now = evidence(counts, ratio) if counts else 0.0
        up = evidence(counts | {allocation: (canary + 1, control)}, ratio) - now
        down = evidence(counts | {allocation: (canary, control + 1)}, ratio) - now
        assert share * exp(up) + (1 - share) * exp(down) == pytest.approx(1.0)
        assert up > 0 > down if evidence is log_e_value else up < 0 < down


@settings(max_examples=50, deadline=None)
@given(canary=st.integers(0, 30), control=st.integers(0, 30), share=st.integers(1, 9999), ratio=st.floats(0.5, 3))
def test_it_is_the_mean_of_products(canary: int, control: int, share: int, ratio: float) -> None:
    """It is the formula, written out: a product over all events for each alternative, and the mean of those."""
    rho = share / 10_000

    def theta(of: float) -> float:
        return of * rho / (of * rho + 1 - rho)

    for evidence, multiples in ((log_e_value, WORSE), (log_noninferior, BETTER)):
        products = [
            (theta(ratio * k) / theta(ratio)) ** canary * ((1 - theta(ratio * k)) / (1 - theta(ratio))) ** control
            for k in multiples
        ]
        assert evidence({share: (canary, control)}, ratio) == pytest.approx(
            log(sum(products) / len(products)), abs=1e-6
        )


def test_edges() -> None:
    """No events, no evidence; an allocation without another arm says nothing; huge counts do not overflow; nonsense is an error."""
    assert log_e_value({}) == log_noninferior({}, 1.5) == pytest.approx(0)
    assert log_e_value({0: (0, 9), 10_000: (9, 0), 500: (2, 7)}) == log_e_value({500: (2, 7)})
    assert e_value(log_e_value({500: (10**9, 10**9)})) > 1e300
    assert log_mean([-1e6, -1e6]) == pytest.approx(-1e6)
    with pytest.raises(ValueError, match="negative"):
        log_e_value({500: (-1, 0)})
    with pytest.raises(ValueError, match="positive"):
        log_noninferior({500: (1, 0)}, 0)


@pytest.mark.parametrize(
    ("rollouts", "tolerated"),
    [(60, 0.08), pytest.param(4000, ALPHA, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_harmless_candidate_is_not_rolled_back(situation: str, rollouts: int, tolerated: float) -> None:
    """Looked at after every event, at most 5 percent of harmless rollouts are called, whatever the ramp and the trend.

    The small size leaves room for chance; the full one does not.
    """
    stages, rate = SITUATIONS[situation]
    dice = random.Random(f"harmless {situation}")
    called = sum(
        first_call(bad_units(dice, stages, rate), log_e_value, rises=True) is not None for _ in range(rollouts)
    )
    assert called <= tolerated * rollouts, f"{called} of {rollouts}"


def test_a_tolerated_ratio_is_tolerated() -> None:
    """A candidate that is 1.25 times worse where that is tolerated is not called more often than alpha."""
    dice = random.Random(125)
    calls = [
        first_call(bad_units(dice, RAMP, lambda at: 0.05, 1.25), lambda counts: log_e_value(counts, 1.25), rises=True)
        for _ in range(60)
    ]
    assert sum(call is not None for call in calls) <= 0.08 * 60


TABLE = (
    (0.02, 500, 2.0, 438),
    (0.02, 2500, 3.0, 174),
    (0.05, 500, 1.5, 679),
    (0.05, 2500, 2.0, 208),
    (0.01, 100, 3.0, 243),
)
"""Rate, allocation, how many times worse, median canary units before it is called: cells of the planning table."""


@pytest.mark.parametrize(
    ("rollouts", "off"), [(40, 0.6), pytest.param(1000, 0.2, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize(("rate", "allocation", "times", "units"), TABLE)
def test_a_regression_is_found_as_planned(
    rate: float, allocation: int, times: float, units: int, rollouts: int, off: float
) -> None:
    """Every regression is called, after about as many canary units as the planning table says."""
    dice = random.Random(f"found {rate} {allocation} {times}")
    needed = []
    for _ in range(rollouts):
        stages = ((60 * units * 10_000 // allocation, allocation),)
        call = first_call(bad_units(dice, stages, lambda at: rate, times), log_e_value, rises=True)
        assert call is not None
        needed.append(call[1] * allocation / 10_000)
    assert median(needed) == pytest.approx(units, rel=off)


def test_a_regression_is_found_in_a_ramp_with_a_falling_rate() -> None:
    """A candidate 1.5 times worse is called in every rollout, although everybody's rate falls from 20 to 5 percent meanwhile."""
    dice = random.Random(77)
    stages, rate = SITUATIONS["ramp, rate falling"]
    assert all(first_call(bad_units(dice, stages, rate, 1.5), log_e_value, rises=True) for _ in range(25))


@pytest.mark.parametrize(
    ("rollouts", "tolerated"),
    [(40, 0.1), pytest.param(3000, ALPHA, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
@pytest.mark.parametrize("stages", [((8000, 2500),), RAMP], ids=["quarter", "ramp"])
def test_a_worse_candidate_is_not_said_to_be_as_good(
    stages: tuple[tuple[int, int], ...], rollouts: int, tolerated: float
) -> None:
    """A candidate exactly at the ratio that must not be reached passes as non-inferior in at most 5 percent of rollouts."""
    dice = random.Random(f"worse {len(stages)}")
    passed = sum(
        first_call(bad_units(dice, stages, lambda at: 0.05, 1.5), lambda c: log_noninferior(c, 1.5), rises=False)
        is not None
        for _ in range(rollouts)
    )
    assert passed <= tolerated * rollouts, f"{passed} of {rollouts}"


@pytest.mark.parametrize(("rollouts", "off"), [(40, 0.4), pytest.param(1000, 0.15, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("rate", "ratio", "units"), [(0.05, 1.5, 794), (0.05, 2.0, 277), (0.2, 1.5, 217)])
def test_an_equal_candidate_is_shown_to_be_as_good(
    rate: float, ratio: float, units: int, rollouts: int, off: float
) -> None:
    """At a quarter of the traffic the proof takes about as many canary units as the planning table says."""
    dice = random.Random(f"equal {rate} {ratio}")
    needed = []
    for _ in range(rollouts):
        events = bad_units(dice, ((80 * units, 2500),), lambda at: rate)
        call = first_call(events, lambda c: log_noninferior(c, ratio), rises=False)
        assert call is not None
        needed.append(call[1] / 4)
    assert median(needed) == pytest.approx(units, rel=off)


def tenant_events(dice: random.Random, runs: int, *, once: bool) -> Iterator[tuple[int, bool, int]]:
    """Bad tenants of a harmless ramp in which tenants stick to an arm: some bring most runs, some fail far more often.

    A tenant is in the canary of every stage from the one on whose weight is above its hash.
    """
    tenants = [(dice.random(), dice.expovariate(1) ** 2, 0.6 * dice.random() ** 4) for _ in range(150)]
    counted: set[float] = set()
    for number, (place, _, rate) in enumerate(
        dice.choices(tenants, weights=[weight for _, weight, _ in tenants], k=runs)
    ):
        allocation = (100, 500, 2500, 5000)[number * 4 // runs]
        if dice.random() < rate and not (once and place in counted):
            counted.add(place)
            yield allocation, place * 10_000 < allocation, number


@pytest.mark.parametrize(("rollouts", "runs"), [(40, 2000), pytest.param(1000, 8000, marks=pytest.mark.slow)])
def test_tenants_that_stick_count_once(rollouts: int, runs: int) -> None:
    """A tenant's first bad run is a fair bet and its later ones repeat it: counted once per rollout, a harmless one stays."""
    dice = random.Random("tenants")

    def called(*, once: bool) -> int:
        return sum(
            first_call(tenant_events(dice, runs, once=once), log_e_value, rises=True) is not None
            for _ in range(rollouts)
        )

    assert called(once=True) <= ALPHA * rollouts
    assert called(once=False) > 2 * ALPHA * rollouts


def test_events_without_another_arm_are_passed_over() -> None:
    """Under an allocation of nothing or of everything there is nobody to compare with; one in ten thousand is a share like any other."""
    assert log_e_value({0: (50, 0), 10_000: (50, 50)}) == log_noninferior({0: (50, 9), 10_000: (50, 0)}, 1.5) == 0.0
    assert log_e_value({1: (9, 0)}) > 10
    assert log_noninferior({9999: (0, 9)}, 1.0) > 1
