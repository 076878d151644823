"""Bars against a threshold: the same way for every test, and only what is over it reaches the mark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.drift_plot import MARK, WIDTH, bar, lines, near, plot, spark
from gateway.core.contract.sentinel import DriftPoint, DriftTest


@pytest.mark.parametrize(
    ("test", "value", "limit", "share"),
    [
        ("mmd", 1.0, 0.01, 0.0),
        ("mmd", 0.01, 0.01, 1.0),
        ("mmd", 0.001, 0.01, 1.5),
        ("mmd", 0.0, 0.01, 4.5),
        ("logprob", 0.5, 2.0, 0.25),
        ("logprob", 4.0, 2.0, 2.0),
        ("logprob", 4.0, None, 0.0),
        ("traffic", 0.0, 1e4, 0.0),
        ("traffic", 1e4, 1e4, 1.0),
        ("traffic", 1e200, 1e4, 50.0),
    ],
)
def test_how_near_a_value_is_to_its_threshold(test: str, value: float, limit: float | None, share: float) -> None:
    """A small p is near, as is a large statistic; without a threshold nothing is."""
    assert near(test, value, limit) == pytest.approx(share, abs=0.01)


@given(share=st.floats(0, 100))
def test_a_bar_reaches_the_mark_only_over_the_threshold(share: float) -> None:
    """Every bar has the same width and its mark in the same column."""
    drawn = bar(share)
    assert len(drawn) == WIDTH + 1
    assert drawn[MARK] in "│┿"
    assert (drawn[MARK - 1] == "━") is (share >= 1)


def test_each_value_has_its_line() -> None:
    """Name, value and bar; what is over the threshold is told apart."""
    points = (DriftPoint("11-22", 0.5), DriftPoint("11-23", 0.001))
    (first, calm), (second, over) = lines("mmd", points, 0.01, 5)
    assert (calm, over) == (False, True)
    assert first.split() == ["11-22", "0.5000", "━━━━", "│"]
    assert "┿━━" in second


def test_a_line_of_the_list_shows_every_test() -> None:
    """The newest windows in a character each, traffic by its highest share, nothing where nothing is known."""
    calm = DriftTest("rel_1", "mmd", (DriftPoint("a", 1.0), DriftPoint("b", 0.001)), 0.01, 1, "")
    traffic = DriftTest("rel_1", "traffic", (DriftPoint("refusal", 1.0), DriftPoint("long", 300.0)), 1e4, 1, "")
    assert spark((calm, traffic)) == "p ▁█, traffic ▅"
    assert spark((DriftTest("rel_1", "mmd", (), 0.01, 0, ""),)) == ""


def test_what_is_not_known_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    """No reference, no threshold, and the note."""
    plot(DriftTest("rel_1", "logprob", (), None, 0, "too few windows to judge by"))
    assert "no reference yet; too few windows to judge by" in capfd.readouterr().out
