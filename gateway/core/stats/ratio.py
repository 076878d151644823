"""Whether assignments fall as they should: a sample-ratio test that may be looked at after every unit.

Each unit is assigned to the canary with a known probability, the allocation in force. A mixture of likelihood ratios against that
is a martingale that starts at 1, and reaches 1/alpha with probability at most alpha over all looks (Ville 1939; the test of Lindon
and Malek, arXiv 2011.03567, with assignments as events). It is two-sided: it bets on too many and on too few.

The same test on units that reported something says whether one arm reports less than the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

from gateway.core.stats.counts import WHOLE, Counts, log_mean

SLIGHT = (0.5, 0.67, 0.8, 0.9, 0.95, 1.05, 1.11, 1.25, 1.5, 2.0)
"""Multiples of the odds that the bet is spread over, for assignments: there even a slight mismatch is a fault."""
STRONG = (0.1, 0.25, 0.5, 0.67, 1.5, 2.0, 4.0, 10.0)
"""The same where only a strong difference matters: odds that are off by less than about a fifth gain nothing."""


def log_e_value(assigned: Counts, multiples: Sequence[float] = SLIGHT) -> float:
    """Natural logarithm of the e-value against "each unit was assigned with its allocation".

    `assigned` is allocation of 10,000 to units in (canary, control). A unit in an arm that its allocation excludes is proof:
    infinite. Raises ValueError for negative counts.
    """
    bets = [0.0] * len(multiples)
    for allocation, (canary, control) in assigned.items():
        if canary < 0 or control < 0:
            raise ValueError("counts of units must not be negative")
        if (canary and allocation <= 0) or (control and allocation >= WHOLE):
            return inf
        if not 0 < allocation < WHOLE:
            continue
        odds = allocation / (WHOLE - allocation)
        for place, multiple in enumerate(multiples):
            either = log((1 + odds) / (1 + multiple * odds))
            bets[place] += canary * (log(multiple) + either) + control * either
    return log_mean(bets)
