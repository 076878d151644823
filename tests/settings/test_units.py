"""Durations, sizes and money."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.units import DAY, HOUR, UnitError, amount, money, points, seconds, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("72h", 259200),
        ("30d", 2592000),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("90", 90),
        ("1.5s", 1.5),
        ("2w", 1209600),
        (5, 5),
    ],
)
def test_durations(text: str | int, expected: float) -> None:
    """A duration is read to seconds, with or without a unit."""
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"), [("64MiB", 64 << 20), ("1GB", 10**9), ("512", 512), ("1.5KiB", 1536), (7, 7)]
)
def test_sizes(text: str | int, expected: int) -> None:
    """A size is read to bytes."""
    assert size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("5 USD/h", 120), ("1 USD/day", 1), ("$2/day", 2), ("3", 3), (4, 4), ("7 usd/week", 1)]
)
def test_money(text: str | int, expected: float) -> None:
    """Money over time is read to USD per the asked period; a bare number is already that."""
    assert money(text, DAY) == pytest.approx(expected)
    if isinstance(text, str) and "/" in text:
        assert money(text, HOUR) == pytest.approx(expected / 24)


@pytest.mark.parametrize("text", ["30x", "h", "-1", "1e9", "1 2", "", "٣s", "72 h !", "5m;", "inf"])
def test_nonsense_is_refused_without_echo(text: str) -> None:
    """What is no unit is refused, and the message does not quote it."""
    for read in (seconds, size, lambda value: money(value, DAY)):
        with pytest.raises(UnitError) as caught:
            read(text)
        assert not text or f"'{text}'" not in str(caught.value)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True])
def test_numbers_that_are_no_amount(value: float) -> None:
    """Negative, infinite and boolean numbers are refused."""
    for read in (seconds, size, lambda each: money(each, DAY)):
        with pytest.raises(UnitError):
            read(value)


def test_percentage_points_and_money() -> None:
    """Points are a share of one, money is dollars; a plain number is both already."""
    assert [points(each) for each in ("5pp", "2.5 pp", "0.05", 0.02)] == [0.05, 0.025, 0.05, 0.02]
    assert [amount(each) for each in ("5 USD", "$0.5", "3", 4)] == [5.0, 0.5, 3.0, 4.0]
    for text in ("5%", "5 USD/h", "x"):
        for each in (points, amount):
            with pytest.raises(UnitError):
                each(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the readers fail in another way than by UnitError, or gives a negative number."""
    for read in (seconds, size, lambda each: money(each, DAY)):
        try:
            assert read(text) >= 0
        except UnitError:
            pass
