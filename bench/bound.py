"""Medians over rounds, and how sure they are: a bootstrap that draws rounds."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

DRAWS = 2000
SEED = 20261123
"""The same rounds always give the same bounds."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Bound:
    """A median over rounds, with the bounds that it stays above and below, each with 95 % confidence. NaN where nothing was measured."""

    median: float
    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """Median of what was measured; not a number when nothing was."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def bound(values: Sequence[float]) -> Bound:
    """Median of one value per round, and its one-sided bounds. With a handful of rounds they are nearly the extremes, as is right."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Bound(math.nan, math.nan, math.nan)
    dice = random.Random(SEED)
    drawn = sorted(statistics.median(dice.choices(known, k=len(known))) for _ in range(DRAWS))
    return Bound(statistics.median(known), drawn[int((1 - CONFIDENCE) * DRAWS)], drawn[int(CONFIDENCE * DRAWS)])
