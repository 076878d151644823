"""Paired shares: how far apart two rates measured on the same items are, by Tango's score test.

The rule: with no item on which the two differ the interval still has a width. A Wald interval has none there, and would let ten
items prove anything. Source: T. Tango, Statistics in Medicine 17 (1998) 891-908; a margin of 0 is McNemar's test.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import copysign, inf, sqrt
from statistics import NormalDist

_STEPS = 60
"""Bisections of an interval of width 2: finer than a double can tell apart."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference of two shares and its bounds, each between -1 and 1."""

    estimate: float
    low: float
    high: float


def z_score(first_only: int, second_only: int, items: int, margin: float = 0.0) -> float:
    """How many standard errors the difference of shares, first less second, lies above `margin`.

    `first_only` items hold only for the first, `second_only` only for the second, of `items` in all; `margin` between -1 and
    1. Raises ValueError for counts that cannot be.
    """
    b, c, n = first_only, second_only, items
    if n < 1 or b < 0 or c < 0 or b + c > n:
        raise ValueError(f"{b} and {c} of {n} items cannot differ")
    linear = -b - c + (2 * n - b + c) * margin
    constant = -c * margin * (1 - margin)
    share = (sqrt(max(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + margin * (1 - margin))
    above = b - c - n * margin
    if variance <= 0:
        return copysign(inf, above) if above else 0.0
    return above / sqrt(variance)


def interval(first_only: int, second_only: int, items: int, confidence: float = 0.95) -> Interval:
    """The two-sided score interval of the difference of shares, first less second. Raises ValueError as `z_score`."""
    bound = NormalDist().inv_cdf((1 + confidence) / 2)
    estimate = (first_only - second_only) / items if items else 0.0

    def where(level: float) -> float:
        low, high = -1.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            # The score falls as the margin grows.
            if z_score(first_only, second_only, items, middle) > level:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    return Interval(estimate, where(bound), where(-bound))
