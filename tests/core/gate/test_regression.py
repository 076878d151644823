"""Must-pass items: what is confirmed, and that a flaky suite does not confirm anything about itself."""

from __future__ import annotations

import random

import pytest

from gateway.core.gate.regression import confirmed

ALL = (1.0,) * 5


def passes(count: int, of: int = 5) -> tuple[float, ...]:
    """So many of five answers pass."""
    return (1.0,) * count + (0.0,) * (of - count)


@pytest.mark.parametrize(
    ("good", "whole", "found"), [(0, 5, True), (2, 5, True), (3, 5, False), (0, 4, False), (5, 5, False)]
)
def test_what_is_confirmed(good: int, whole: int, found: bool) -> None:
    """The incumbent passes every time and the candidate at most two times in five."""
    assert bool(confirmed([("i", passes(good), passes(whole))]).items) is found


def test_half_a_score_is_a_pass() -> None:
    """A graded answer passes from one half on, on either side."""
    assert confirmed([("i", (0.49,) * 5, (0.5,) * 5)]).items == ("i",)
    assert confirmed([("i", (0.5,) * 5, ALL)]).items == ()


@pytest.mark.parametrize(("good", "chance"), [(0, 1 / 252), (1, 5 / 210), (2, 10 / 120)])
def test_the_chance_of_one_item_is_exact(good: int, chance: float) -> None:
    """How many of the ways to deal the passes out look so: binomial coefficients (Fisher 1935)."""
    steady = [(f"s{at}", ALL, ALL) for at in range(40)]
    assert confirmed([("i", passes(good), ALL), *steady]).chance == pytest.approx(chance)


def test_more_regressions_are_less_of_a_chance() -> None:
    """Each further one makes the suite's flakiness a worse explanation; none at all is always explained."""
    chances = [confirmed([(f"i{at}", passes(1), ALL) for at in range(n)]).chance for n in range(4)]
    assert chances[0] == 1.0
    assert chances == sorted(chances, reverse=True)
    assert chances[3] == pytest.approx((5 / 210) ** 3)


def test_items_that_nobody_answered_are_none() -> None:
    """Without answers on a side there is nothing to confirm."""
    assert confirmed([("i", (), ALL), ("j", passes(0), ())]).items == ()


def test_a_flaky_suite_against_itself() -> None:
    """Sixty items that pass two times in three show regressions of a release against itself in most runs; they are called in
    at most alpha of them."""
    dice, seen, called, runs = random.Random(5), 0, 0, 300
    for _ in range(runs):
        items = [
            (str(at), *(tuple(float(dice.random() < 0.67) for _ in range(5)) for _ in range(2))) for at in range(60)
        ]
        found = confirmed(items)  # type: ignore[arg-type]
        seen += bool(found.items)
        called += bool(found.items) and found.chance <= 0.05
    assert seen > runs / 2, "or the test would show nothing"
    assert called <= 0.05 * runs + 10


def test_items_of_one_source_are_one_draw() -> None:
    """Two that look regressed are no more than one where they share a source: they may fail together by the same bad luck."""
    two = [("a", passes(2), ALL), ("b", passes(2), ALL)]
    alone, together = confirmed(two), confirmed(two, {"a": "g", "b": "g"})
    assert alone.items == together.items == ("a", "b")
    assert alone.chance == pytest.approx((10 / 120) ** 2)
    assert together.chance == pytest.approx(2 * 10 / 120)
    assert confirmed(two, {"a": "g", "b": "h"}).chance == alone.chance
    many = [(str(at), passes(2), ALL) for at in range(20)]
    assert confirmed(many, {name: "g" for name, *_ in many}).chance == 1.0
    steady = [("s", ALL, ALL)]
    assert confirmed([*two, *steady], {"a": "g", "b": "g", "s": "g"}).chance == pytest.approx(together.chance)


def test_a_flaky_source_against_itself() -> None:
    """Ten sources of six items that fail all together or not at all: of a release against itself at most alpha of the runs are
    called, and far more would be if each item were taken for itself."""
    dice, called, naive, runs = random.Random(7), 0, 0, 400
    groups = {f"{source} {at}": str(source) for source in range(10) for at in range(6)}
    for _ in range(runs):
        answers = {
            str(source): [tuple(float(dice.random() < 0.67) for _ in range(5)) for _ in range(2)]
            for source in range(10)
        }
        items = [(name, *answers[group]) for name, group in groups.items()]
        found = confirmed(items, groups)  # type: ignore[arg-type]
        called += bool(found.items) and found.chance <= 0.05
        plain = confirmed(items)  # type: ignore[arg-type]
        naive += bool(plain.items) and plain.chance <= 0.05
    assert called <= 0.05 * runs
    assert naive > 0.1 * runs, "or the test would show nothing"
