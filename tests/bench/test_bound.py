"""Medians and their bounds: what a bootstrap over rounds may say."""

from __future__ import annotations

import math

from bench.bound import bound, median


def test_the_bounds_hold_the_median() -> None:
    """The median lies between its bounds, and they between the extremes."""
    values = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0]
    found = bound(values)
    assert min(values) <= found.low <= found.median == 3.0 <= found.high <= max(values)


def test_equal_rounds_leave_no_doubt() -> None:
    """Where every round says the same, the bounds say it too; the same rounds always give the same bounds."""
    assert bound([2.0] * 5) == bound([2.0] * 5)
    assert (bound([2.0] * 5).low, bound([2.0] * 5).high) == (2.0, 2.0)


def test_one_bad_round_of_many_moves_no_bound() -> None:
    """A round that the machine spoilt is one of many."""
    assert bound([1.0] * 9 + [100.0]).high == 1.0


def test_what_was_not_measured_counts_for_nothing() -> None:
    """Rounds without a number are left out; without any there is none."""
    assert median([math.nan, 2.0, 4.0]) == 3.0
    assert bound([math.nan, 2.0]).median == 2.0
    assert math.isnan(median([]))
    assert math.isnan(bound([math.nan]).high)
