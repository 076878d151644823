"""Draws that a seed decides, for tests that permute: the same seed gives the same verdict again, on every version of Python.

Source: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), whose state is one number and whose output passes as uniform.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


class Draws:
    """A sequence of whole numbers that begins at a seed. Not for secrets."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, bound: int) -> int:
        """A number from 0 up to a bound, without it; uniform to within 2^-32 for bounds below 2^32."""
        self._state = state = (self._state + _STEP) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((state ^ (state >> 31)) * bound) >> 64

    def part(self, items: list[int], count: int) -> list[int]:
        """Bring `count` of the items, chosen at random, to the front of the list, in place, and return them."""
        size = len(items)
        for at in range(count):
            other = at + self.below(size - at)
            items[at], items[other] = items[other], items[at]
        return items[:count]
