"""Means and how far off they may be: a t interval with clustered errors, and a betting interval that holds at any sample size.

The rule: an interval that rests on a spread needs one. Where nothing varies, a t interval would have no width and ten items would
prove anything; the betting interval is taken instead.

Sources: Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640 (paired differences, clusters); Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting", arXiv 2010.09686 (hedged capital with predictable bets).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p, sqrt

from gateway.core.stats.beta import t_quantile
from gateway.core.stats.tango import Interval

_CAP = 0.75
"""Largest share of the capital that a bet can lose in one step."""
_STEPS = 40
"""Bisections of an interval of width 1: finer than any margin."""


def clustered(differences: Sequence[tuple[float, str]], confidence: float = 0.95) -> Interval:
    """The t interval of a mean difference whose items come in clusters: pairs of a difference, -1 to 1, and its cluster's name.

    Items of one name may depend on each other; an item without a name is a cluster of its own. The degrees of freedom are those
    of the clusters. With fewer than two clusters nothing is known: -1 to 1. Without any spread between clusters the betting
    interval of their means is given, which has a width. Raises ValueError for no items or differences out of bounds.
    """
    values = [value for value, _ in differences]
    if not values or any(not -1 <= value <= 1 for value in values):
        raise ValueError("one difference at least, each between -1 and 1")
    mean = sum(values) / len(values)
    residues: dict[str | int, float] = {}
    sizes: dict[str | int, int] = {}
    for place, (value, name) in enumerate(differences):
        cluster = name or place
        residues[cluster] = residues.get(cluster, 0.0) + value - mean
        sizes[cluster] = sizes.get(cluster, 0) + 1
    count = len(residues)
    if count < 2:
        return Interval(mean, -1.0, 1.0)
    # Miller's sum of squared cluster sums over n^2; count / (count - 1) makes it the usual estimate where each item is a cluster.
    error = sqrt(sum(residue**2 for residue in residues.values()) * count / (count - 1)) / len(values)
    if error < _NONE:
        low, high = betting([(mean + residue / sizes[name] + 1) / 2 for name, residue in residues.items()], confidence)
        return Interval(mean, 2 * low - 1, 2 * high - 1)
    width = t_quantile((1 + confidence) / 2, count - 1) * error
    return Interval(mean, max(mean - width, -1.0), min(mean + width, 1.0))


_NONE = 1e-12
"""A standard error below this is rounding."""


def betting(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """An interval of the mean of independent values between 0 and 1 that holds at any sample size, however they are spread.

    Two gamblers bet, one that the mean is above m and one that it is below, with stakes that depend on earlier values only; if m
    is the mean, half of each one's capital together stays below 1 / (1 - confidence) at every step, with that confidence. The
    order of the values must not depend on them. No values: (0, 1). Raises ValueError for values out of bounds.
    """
    if any(not 0 <= value <= 1 for value in values) or not 0 < confidence < 1:
        raise ValueError("values between 0 and 1, and a confidence between them too")
    if not values:
        return 0.0, 1.0
    stakes = _stakes(values, confidence)
    low = _bound(values, stakes, confidence)
    return low, 1 - _bound([1 - value for value in values], stakes, confidence)


def _stakes(values: Sequence[float], confidence: float) -> list[float]:
    """What is bet on each value, from those before it: about what would grow capital fastest at their spread."""
    budget = 2 * log(2 / (1 - confidence)) / len(values)
    total, squares, found = 0.5, 0.25, []
    for place, value in enumerate(values, start=1):
        found.append(sqrt(budget * place / squares))
        total += value
        squares += (value - total / (place + 1)) ** 2
    return found


def _bound(values: Sequence[float], stakes: Sequence[float], confidence: float) -> float:
    """The largest mean that the gambler on a higher one has disproved, at half of the capital; 0 when there is none."""
    goal = log(2 / (1 - confidence))

    def disproved(mean: float) -> bool:
        capital, cap = 0.0, _CAP / mean
        for value, stake in zip(values, stakes, strict=True):
            capital += log1p(min(stake, cap) * (value - mean))
            if capital >= goal:
                return True
        return False

    # Every bet pays less, the higher the mean that it is placed against, so what is disproved is everything below one point.
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if disproved(middle):
            low = middle
        else:
            high = middle
    return low
