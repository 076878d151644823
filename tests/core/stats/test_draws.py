"""Draws that a seed decides."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.stats.draws import Draws


def test_a_seed_decides_all() -> None:
    """The same seed draws the same, for ever; another one draws something else."""
    assert [Draws(7).below(1000) for _ in range(3)] == [389] * 3
    one, other = Draws(7), Draws(8)
    assert [one.below(10**6) for _ in range(5)] != [other.below(10**6) for _ in range(5)]


def test_numbers_are_spread_evenly() -> None:
    """Each number below the bound comes about as often as any other."""
    draws = Draws(1)
    found = Counter(draws.below(7) for _ in range(7000))
    assert sorted(found) == list(range(7))
    assert all(900 < count < 1100 for count in found.values())


@given(seed=st.integers(), size=st.integers(1, 30), count=st.integers(0, 30))
def test_a_part_is_drawn_without_putting_back(seed: int, size: int, count: int) -> None:
    """A part has as many items as asked for, all different, and the list still holds every item once."""
    items = list(range(size))
    chosen = Draws(seed).part(items, min(count, size))
    assert len(set(chosen)) == len(chosen) == min(count, size)
    assert sorted(items) == list(range(size))


def test_every_part_is_as_likely() -> None:
    """Each pair of four items is drawn about as often, whatever was drawn before."""
    draws, items = Draws(3), [0, 1, 2, 3]
    found = Counter(frozenset(draws.part(items, 2)) for _ in range(6000))
    assert len(found) == 6
    assert all(850 < count < 1150 for count in found.values())
