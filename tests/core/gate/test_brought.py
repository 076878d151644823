"""Two engines' words put side by side: the same items, and nothing that was not scored made up."""

from __future__ import annotations

from math import nan

import pytest

from gateway.core.contract.evidence import Score
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.brought import Brought, Unreadable, number, pair, strangers


def side(items: dict[str, tuple[float | None, ...]], suite: str = "s@1", **more: dict[str, str]) -> Brought:
    """One release's scores."""
    return Brought("e", items, suite, **more)  # type: ignore[arg-type]


def test_items_are_paired_and_what_is_missing_is_counted() -> None:
    """An item that one side lacks and an answer without a score are both without a score: five of twelve here."""
    one = side({"b": (1.0, None), "a": (0.0, 1.0)}, categories={"a": "x"})
    other = side({"a": (1.0, 1.0), "c": (1.0, 1.0)}, groups={"c": "g"})
    made = pair(one, other, SuiteKind.TASK)
    assert made.scores == (
        Score("a", (0.0, 1.0), (1.0, 1.0), "", "x"),
        Score("b", (1.0,), ()),
        Score("c", (), (1.0, 1.0), "g"),
    )
    assert (made.repeats, made.unscored, made.suite, made.digest) == (2, 5, "s@1", "")


def test_one_score_against_many_is_one_against_their_mean() -> None:
    """Where an engine gave one number for all repeats of one release, the other's repeats are averaged too."""
    made = pair(side({"a": (1.0, 0.0), "b": (None, None)}), side({"a": (0.75,), "b": (1.0,)}), SuiteKind.TASK)
    assert made.scores == (Score("a", (0.5,), (0.75,)), Score("b", (), (1.0,)))
    assert (made.repeats, made.unscored) == (1, 1)


def test_of_different_suites() -> None:
    """Two suites, or two versions of one, are not compared unless somebody says that they are one; nor are strangers."""
    one, other = side({"a": (1.0,)}), side({"a": (1.0,)}, "s@2")
    with pytest.raises(Unreadable, match="s@1 and s@2"):
        pair(one, other, SuiteKind.TASK)
    assert pair(one, other, SuiteKind.TASK, "mine@1").suite == "mine@1"
    with pytest.raises(Unreadable, match="no item in common"):
        pair(one, side({"b": (1.0,)}), SuiteKind.TASK)


@pytest.mark.parametrize(("value", "read"), [(1, 1.0), (0.25, 0.25), (True, 1.0), (None, None), (nan, None)])
def test_numbers(value: object, read: float | None) -> None:
    """From 0 to 1, yes and no, or none."""
    assert number(value, "x") == read


@pytest.mark.parametrize("value", [-0.1, 1.5, 100, "C", [], {}])
def test_what_is_no_score(value: object) -> None:
    """It is refused where it stands, not rescaled."""
    with pytest.raises(Unreadable, match=r"file:3: .* not a number from 0 to 1"):
        number(value, "file:3")


def test_strangers_are_answers_by_others() -> None:
    """All but those of the model that gave most."""
    assert (strangers({"a": 5, "b": 2}), strangers({})) == (2, 0)
