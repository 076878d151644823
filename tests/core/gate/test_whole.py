"""Scores that can be, and those that cannot."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

import pytest

from gateway.core.contract.evidence import Score
from gateway.core.gate.whole import items_digest, problems
from tests.core.gate.evidences import flips, suite


def test_whole_scores_have_no_problem() -> None:
    """Items once each, repeats that were not all scored."""
    assert list(problems(suite(flips(10, 2)))) == []
    assert list(problems(suite([Score("i", (), (0.5, 1.0))], repeats=3))) == []


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ([], "there are none"),
        ([Score("i", (1.0,), (1.0,)), Score("i", (1.0,), (1.0,))], "i is there twice"),
        ([Score("", (1.0,), (1.0,))], "1 to 200 characters"),
        ([Score("i", (1.0,), (1.0,), "g" * 201)], "1 to 200 characters"),
        ([Score("i", (1.0, 1.0), (1.0,))], "has 2 scores of 1 repeats"),
        *[([Score("i", (value,), (1.0,))], "not between 0 and 1") for value in (-0.1, 1.1, nan, inf)],
    ],
)
def test_scores_that_cannot_be(scores: Sequence[Score], told: str) -> None:
    """Each is named."""
    assert any(told in each for each in problems(suite(scores)))


def test_repeats_and_unscored_have_bounds() -> None:
    """Numbers outside of what can be counted."""
    assert any("repeats" in each for each in problems(suite(flips(2), repeats=0)))
    assert any("fewer than no" in each for each in problems(suite(flips(2), unscored=-1)))


def test_items_are_told_apart_by_their_ids() -> None:
    """The same ids in another order are the same items."""
    assert items_digest(suite(flips(5))) == items_digest(suite(flips(5, 2)[::-1]))
    assert items_digest(suite(flips(5))) != items_digest(suite(flips(6)))
