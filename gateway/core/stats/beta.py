"""The regularised incomplete beta function, which binomial tails and Student's t are made of, and what is solved for with it.

Source: its continued fraction by the modified Lentz method (Abramowitz and Stegun 26.5.8; Lentz 1976).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log, log1p

_TINY = 1e-300
_CLOSE = 1e-15
_TERMS = 2000
"""The fraction needs about the root of the larger parameter; this is enough for millions."""
_STEPS = 100
"""Bisections: a double cannot be told apart after fewer."""


def incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b) for positive a and b, and x between 0 and 1; beyond, 0 or 1."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    # The fraction is quick only below the mean; above, the mirrored one is.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def rising_root(rises: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a function that rises from `low` to `high` passes a level, by bisection."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if rises(middle) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_quantile(probability: float, degrees: float) -> float:
    """The value that Student's t with so many degrees of freedom stays below with this probability, above 0.5 and below 1."""
    if not 0.5 <= probability < 1 or degrees <= 0:
        raise ValueError("a probability of 0.5 to below 1, and positive degrees of freedom")
    # P(|T| > t) = I_x(df/2, 1/2) with x = df / (df + t^2), which rises with x.
    x = rising_root(lambda at: incomplete_beta(at, degrees / 2, 0.5), 2 * (1 - probability), 0.0, 1.0)
    return float((degrees * (1 - x) / x) ** 0.5) if x > 0 else float("inf")


def _fraction(x: float, a: float, b: float) -> float:
    bottom = 1 - (a + b) * x / (a + 1)
    bottom = 1 / (bottom if abs(bottom) > _TINY else _TINY)
    top, whole = 1.0, bottom
    for m in range(1, _TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            bottom = 1 + term * bottom
            bottom = 1 / (bottom if abs(bottom) > _TINY else _TINY)
            top = 1 + term / top
            top = top if abs(top) > _TINY else _TINY
            whole *= top * bottom
        if abs(top * bottom - 1) < _CLOSE:
            break
    return whole
