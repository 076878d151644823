"""The sequential sample-ratio test: fair at every step, quiet when assignments are right, loud when they are not."""

from __future__ import annotations

import random
from math import exp, inf, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stats.ratio import SLIGHT, STRONG, log_e_value

COUNT = st.integers(0, 2000)


def first_call(dice: random.Random, share: float, alpha: float, units: int) -> int | None:
    """The unit at which a mismatch is called, when units go to the canary with `share` instead of 5, then 25 percent."""
    half, counts = units // 2, {500: [0, 0], 2500: [0, 0]}
    for number in range(1, units + 1):
        allocation = 500 if number <= half else 2500
        counts[allocation][dice.random() >= share * allocation / 10_000] += 1
        if number % 50 == 0:
            told = {key: (canary, control) for key, (canary, control) in counts.items()}
            if log_e_value(told) >= -log(alpha):
                return number
    return None


@settings(max_examples=50, deadline=None)
@given(
    counts=st.dictionaries(st.integers(1, 9999), st.tuples(COUNT, COUNT), max_size=3),
    allocation=st.integers(1, 9999),
    multiples=st.sampled_from((SLIGHT, STRONG)),
)
def test_one_more_unit_is_a_fair_bet(
    counts: dict[int, tuple[int, int]], allocation: int, multiples: tuple[float, ...]
) -> None:
    """Under the right allocation the expected e-value after one more unit is the e-value now: what makes every look safe."""
    now = log_e_value(counts, multiples) if counts else 0.0
    canary, control = counts.get(allocation, (0, 0))
    up = log_e_value(counts | {allocation: (canary + 1, control)}, multiples) - now
    down = log_e_value(counts | {allocation: (canary, control + 1)}, multiples) - now
    share = allocation / 10_000
    assert share * exp(up) + (1 - share) * exp(down) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rollouts", "units", "tolerated"),
    [(25, 2000, 0.08), pytest.param(2000, 10_000, 0.05, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_right_assignments_are_not_called(rollouts: int, units: int, tolerated: float) -> None:
    """Over a ramp, looked at all the time, at most 5 percent of right rollouts are called at an alpha of 5 percent."""
    dice = random.Random("right")
    called = sum(first_call(dice, 1.0, 0.05, units) is not None for _ in range(rollouts))
    assert called <= tolerated * rollouts, f"{called} of {rollouts}"


@pytest.mark.parametrize("share", [0.5, 1.4])
def test_wrong_assignments_are_called(share: float) -> None:
    """Half as many, or two fifths more, than the allocation are called within 6,000 units at one in a thousand."""
    dice = random.Random(f"wrong {share}")
    assert all(first_call(dice, share, 0.001, 6000) for _ in range(10))


def test_strong_differences_only() -> None:
    """A tenth less is called by the slight bets and never by the strong ones; a half is called by both."""
    tenth, half = {5000: (45_000, 50_000)}, {5000: (500, 1000)}
    assert log_e_value(tenth, SLIGHT) > 20 and log_e_value(tenth, STRONG) < 0
    assert log_e_value(half, SLIGHT) > 20 and log_e_value(half, STRONG) > 20


def test_edges() -> None:
    """A unit where none can be is proof; where all must be it says nothing; nonsense is an error."""
    assert log_e_value({}) == log_e_value({0: (0, 5), 10_000: (5, 0)}) == pytest.approx(0)
    assert log_e_value({0: (1, 5)}) == log_e_value({10_000: (5, 1)}) == inf
    with pytest.raises(ValueError, match="negative"):
        log_e_value({500: (0, -1)})


def test_the_smallest_and_the_largest_allocation_are_tested() -> None:
    """One in ten thousand, on either side, is a share like any other; none and all are proof only against who should not be there."""
    assert log_e_value({1: (50, 10_000)}) > log(1000)
    assert log_e_value({9999: (10_000, 50)}) > log(1000)
    assert log_e_value({0: (0, 500), 10_000: (500, 0)}) == pytest.approx(0.0)
    assert log_e_value({0: (1, 0)}) == log_e_value({10_000: (0, 1)}) == inf
