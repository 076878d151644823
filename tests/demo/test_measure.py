"""Shares, gaps, and what chance alone would do."""

from __future__ import annotations

import random
from math import isclose

from gateway.demo.agent import Case, Run
from gateway.demo.measure import QUESTIONS, RARE, Gap, Share, fisher, gaps


def test_fisher_is_the_published_value_of_the_tea_tasting() -> None:
    """Three of four cups right, by a lady and by chance: 0.486 two-sided (Fisher 1935)."""
    assert isclose(fisher(Share(3, 4), Share(1, 4)), 34 / 70)
    assert isclose(fisher(Share(4, 4), Share(0, 4)), 2 / 70)


def test_equal_groups_have_no_gap() -> None:
    """Nothing and everything in both groups are certain by chance."""
    assert fisher(Share(0, 20), Share(0, 20)) == 1.0
    assert fisher(Share(20, 20), Share(20, 20)) == 1.0


def test_chance_is_called_a_change_as_rarely_as_stated() -> None:
    """Over 3,000 draws without any change, a change is seen no more often than the bound allows."""
    dice = random.Random(11)
    wrong = 0
    for _ in range(3000):
        rate = dice.random()
        one, other = (Share(sum(dice.random() < rate for _ in range(24)), 24) for _ in range(2))
        wrong += Gap("x", one, other).changed
    assert wrong <= 3000 * RARE * 2


def test_every_question_is_counted_with_its_n() -> None:
    """A group of runs becomes one row per behaviour."""
    kept = Run(Case("A-1", 40), tools=["look_up_order"], closing='{"decision": "refused"}')
    found = gaps([kept, kept], [Run(Case("A-2", 40))])
    assert [gap.question for gap in found] == list(QUESTIONS)
    assert str(found[0].before) == "2 of 2 (100 %)"
    assert str(found[0].after) == "0 of 1 (0 %)"
    assert str(Share(0, 0)) == "0 of 0 (-)"
