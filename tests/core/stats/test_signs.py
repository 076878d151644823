"""The sequential sign test: what it holds, and what it finds, by simulation with fixed seeds."""

from __future__ import annotations

import random
from math import log
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.stats.signs import ALTERNATIVES, differs, e_value, log_e_value

COUNTS = st.integers(0, 5000)


def first_alarm(dice: random.Random, trios: int, *, tie: float, positive: float) -> int | None:
    """The trio at which the test first calls; it is looked at after every one."""
    a = b = 0
    for number in range(1, trios + 1):
        if dice.random() < tie:
            continue
        if dice.random() < positive:
            a += 1
        else:
            b += 1
        if differs(a, b):
            return number
    return None


@given(a=COUNTS, b=COUNTS)
def test_one_more_sign_is_a_fair_bet(a: int, b: int) -> None:
    """Under a fair coin the expected e-value after one more sign is the e-value now: what makes every look safe."""
    now = log_e_value(a, b)
    ups, downs = log_e_value(a + 1, b) - now, log_e_value(a, b + 1) - now
    assert 0.5 * (2.718281828459045**ups + 2.718281828459045**downs) == pytest.approx(1.0)


@given(a=COUNTS, b=COUNTS)
def test_it_is_one_sided(a: int, b: int) -> None:
    """A positive sign never lowers the evidence, a negative one never raises it, and huge counts do not overflow."""
    assert log_e_value(a + 1, b) > log_e_value(a, b) > log_e_value(a, b + 1)
    assert e_value(a, b) >= 0


def test_it_starts_without_evidence() -> None:
    """No signs, no evidence; a handful of equal signs is not enough for an alarm at 5 percent, eight are."""
    assert e_value(0, 0) == pytest.approx(1.0)
    assert not differs(5, 0)
    assert differs(8, 0)
    assert log_e_value(1, 0) == pytest.approx(log(2 * sum(ALTERNATIVES) / len(ALTERNATIVES)))
    with pytest.raises(ValueError, match="negative"):
        log_e_value(-1, 0)


def test_false_alarms_stay_under_alpha() -> None:
    """Equal releases, looked at after each of 1,500 trios: fewer than 5 percent of 400 shadows are called."""
    dice = random.Random(20260901)
    alarms = sum(first_alarm(dice, 1500, tie=0.3, positive=0.5) is not None for _ in range(400))
    assert alarms <= 0.05 * 400


@pytest.mark.parametrize(("changed", "found", "within"), [(0.4, 1.0, 220), (0.2, 0.75, 800)])
def test_changed_answers_are_found(changed: float, found: float, within: int) -> None:
    """A candidate that answers otherwise on a share of requests is called in most shadows, at a median of so many trios.

    On a changed request the candidate is farther from the primary than the secondary is; on the others the two are alike,
    and half of those are ties.
    """
    dice = random.Random(7)
    tie = (1 - changed) * 0.5
    positive = (changed + (1 - changed) * 0.25) / (1 - tie)
    calls = [first_alarm(dice, 1500, tie=tie, positive=positive) for _ in range(60)]
    hits = [call for call in calls if call is not None]
    assert len(hits) >= found * len(calls)
    assert median(hits) <= within
