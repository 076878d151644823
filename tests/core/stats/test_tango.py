"""Tango's score test and interval for paired shares."""

from __future__ import annotations

import random
from math import sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core.stats.tango import interval, z_score

CELLS = st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 400))


@given(CELLS)
def test_no_margin_is_mcnemar(cells: tuple[int, int, int]) -> None:
    """With a margin of 0 the score is McNemar's."""
    b, c, same = cells
    assume(b + c)
    assert z_score(b, c, b + c + same) == pytest.approx((b - c) / sqrt(b + c))


@given(CELLS)
def test_the_interval_holds_the_estimate_and_mirrors(cells: tuple[int, int, int]) -> None:
    """The estimate lies inside, the bounds stay within -1 and 1, and swapping the two sides mirrors everything."""
    b, c, same = cells
    assume(b + c + same)
    one, other = interval(b, c, b + c + same), interval(c, b, b + c + same)
    assert -1 <= one.low <= one.estimate + 1e-9 <= one.high + 2e-9 <= 1 + 3e-9
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-6)


def test_no_discordant_item_still_has_a_width() -> None:
    """Ten items without a difference prove little, a thousand more: z squared over (n + z squared), Tango's closed form."""
    few, many = interval(0, 0, 10), interval(0, 0, 1000)
    square = 1.959963984540054**2
    assert few.high == pytest.approx(square / (10 + square), abs=1e-6)
    assert many.high == pytest.approx(square / (1000 + square), abs=1e-6)


def test_bounds_solve_the_test() -> None:
    """Each bound is where the test itself turns: its score there is the normal quantile."""
    found = interval(1, 0, 44)
    assert z_score(1, 0, 44, found.low) == pytest.approx(1.959964, abs=1e-4)
    assert z_score(1, 0, 44, found.high) == pytest.approx(-1.959964, abs=1e-4)


def test_it_covers() -> None:
    """A 95 percent interval holds the true difference in at least 92 percent of 600 samples of 80 pairs."""
    dice, held = random.Random(3), 0
    first, second = 0.12, 0.05
    for _ in range(600):
        b = c = 0
        for _ in range(80):
            throw = dice.random()
            b += throw < first
            c += first <= throw < first + second
        found = interval(b, c, 80)
        held += found.low <= first - second <= found.high
    assert held >= 0.92 * 600


def test_counts_that_cannot_be() -> None:
    """More differences than items, or none at all to compare, is an error."""
    for cells in ((3, 3, 5), (-1, 0, 5), (0, 0, 0)):
        with pytest.raises(ValueError, match="cannot differ"):
            z_score(*cells)
