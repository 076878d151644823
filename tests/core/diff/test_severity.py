"""The table of weights."""

from __future__ import annotations

from gateway.core.contract.pair import Difference, Dimension, PairClass
from gateway.core.diff.severity import SEVERITY, WORSE, classify


def test_the_table_covers_the_closed_list() -> None:
    """Every dimension has a weight above 0 and up to 1, and only grave ones have a worse side."""
    assert set(SEVERITY) == set(Dimension)
    assert all(0 < weight <= 1 for weight in SEVERITY.values())
    assert min(SEVERITY[each] for each in WORSE) > max(SEVERITY[Dimension.TEXT], SEVERITY[Dimension.FENCE])


def test_a_worse_side_outweighs_everything() -> None:
    """One difference in which the candidate is worse makes a regression; nothing at all is identical only when equal."""
    worse = Difference(Dimension.ERROR, "$", "", "500", 1.0, worse=True)
    assert classify([worse], same=False) is PairClass.REGRESSION
    assert classify([], same=False) is PairClass.EQUIVALENT
    assert classify([], same=True) is PairClass.IDENTICAL
