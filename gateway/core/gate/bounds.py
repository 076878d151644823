"""One-sided bounds of a share and of a mean drop, in the terms of the gate.

Rule of the file: an interval never gets narrower than the data can bear. Without any spread a t interval has no width, so the
variance is never taken below that of `margin` of the items flipping: the smallest suite that can pass is then Tango's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from statistics import NormalDist

from gateway.core.stats.means import betting, clustered
from gateway.core.stats.shares import clopper_pearson

ENOUGH = 100
"""Items from which on a t interval is trusted (Bowyer and others, arXiv 2503.01747, on smaller ones)."""
SOURCES = 20
"""Independent sources of items from which on its clustered error is."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate and a one-sided bound on either side."""

    estimate: float
    low: float
    high: float
    method: str = ""


Drop = tuple[str, str, float]
"""Item id, group (empty: its own), and how much worse the candidate is on it, -1 to 1."""


def source_of(item: str, group: str) -> str:
    """What an item may depend on others by: its group, or itself."""
    return group or f"\0{item}"


def share_bounds(count: int, items: int, alpha: float) -> Bounds:
    """Clopper and Pearson's bounds of a share, each side missed with probability at most `alpha`."""
    low, high = clopper_pearson(count, items, 1 - 2 * alpha)
    return Bounds(count / items, low, high, "clopper_pearson")


def bounds_of_means(drops: Sequence[Drop], margin: float, alpha: float) -> Bounds:
    """Bounds of the mean drop of at least one item, each side missed with probability `alpha`. Order does not matter."""
    ordered = sorted(drops)
    sources = Counter(source_of(item, group) for item, group, _ in ordered)
    if len(ordered) < ENOUGH or len(sources) < SOURCES:
        return _betting(ordered, sources, alpha)
    values = [drop for *_, drop in ordered]
    mean = fsum(values) / len(values)
    least = NormalDist().inv_cdf(1 - alpha) * sqrt(margin * (1 - margin) / len(sources))
    width = least
    if min(values) < max(values):
        found = clustered([(drop, group) for _, group, drop in ordered], 1 - 2 * alpha)
        width = max(least, found.high - found.estimate if found.high < 1 else found.estimate - found.low)
    return Bounds(mean, max(mean - width, -1.0), min(mean + width, 1.0), "clustered_t")


def _betting(ordered: Sequence[Drop], sources: Counter[str], alpha: float) -> Bounds:
    """Bets on one sum per source, over the largest source, so that each is from -1 to 1; the sources' sizes are taken as
    given. A bet may depend on the sources before, so they are looked at in an order that nobody's answers chose."""
    sums: dict[str, list[float]] = {}
    for item, group, drop in ordered:
        sums.setdefault(source_of(item, group), []).append(drop)
    largest = max(sources.values())
    scale = len(sums) * largest / len(ordered)
    names = sorted(sums, key=lambda name: hashlib.sha256(name.encode()).digest())
    values = [min(max((fsum(sums[name]) / largest + 1) / 2, 0.0), 1.0) for name in names]
    low, high = betting(values, 1 - 2 * alpha)
    mean = fsum(drop for *_, drop in ordered) / len(ordered)
    return Bounds(mean, max((2 * low - 1) * scale, -1.0), min((2 * high - 1) * scale, 1.0), "betting")
