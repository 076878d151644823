"""Bad events of two arms, judged as they come: whether the canary's rate is above, or below, a tolerated multiple of the control's.

A bad event that happened under an allocation rho came from the canary with probability at most m rho / (m rho + 1 - rho), if the
canary's rate is at most m times the control's. That holds event by event, whatever the rate does over time, whatever it depends
on, and however rho is changed between units, because rho is the one that was in force when the unit got its arm at random. So

    E = mean over R of the product over all bad events of  theta_R / theta_m              for an event of the canary
                                                          (1 - theta_R) / (1 - theta_m)  for an event of the control
    with theta_r = r rho / (r rho + 1 - rho)

is a non-negative supermartingale that starts at 1 for as long as the null holds, and reaches 1/alpha with probability at most
alpha, at any number of looks (Ville 1939). The mean stands outside of the product: each R is a bet of its own from the first event
to the last. The order of events does not matter, so two counts per allocation are all that has to be kept.

Source: Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, arXiv 2011.03567; here with an
allocation per event and mixed over fixed alternatives. What it needs: that a unit counts once, with the allocation and arm that
it was assigned, and that an event is not told sooner of one arm than of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Multiples of the tolerated ratio that the bet on a regression is spread over."""
BETTER = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The same for the bet that the ratio is below one that must not be reached."""
WHOLE = 10_000
"""Allocations are shares of this."""
_LARGEST = 700.0
"""exp of more than this overflows a double; an e-value so large is told as exp of this."""

Counts = Mapping[int, tuple[int, int]]
"""Allocation of 10,000 to bad units in (canary, control)."""


def log_e_value(counts: Counts, ratio: float = 1.0) -> float:
    """Natural logarithm of the e-value against "the canary's rate is at most `ratio` times the control's".

    Events under an allocation of nothing or of everything have no other arm to be compared with and are passed over. Raises
    ValueError for negative counts or a ratio that is not positive.
    """
    return _mixture(counts, ratio, WORSE)


def log_noninferior(counts: Counts, ratio: float) -> float:
    """Natural logarithm of the e-value against "the canary's rate is `ratio` times the control's, or more". Raises as above."""
    return _mixture(counts, ratio, BETTER)


def e_value(logarithm: float) -> float:
    """The e-value itself, at most exp(700)."""
    return exp(min(logarithm, _LARGEST))


def log_mean(terms: Sequence[float]) -> float:
    """Logarithm of the mean of numbers given by their logarithms; no intermediate value overflows."""
    top = max(terms)
    return top + log(sum(exp(term - top) for term in terms)) - log(len(terms))


def _mixture(counts: Counts, ratio: float, multiples: Sequence[float]) -> float:
    if ratio <= 0:
        raise ValueError("a tolerated ratio must be positive")
    bets = [0.0] * len(multiples)
    for allocation, (canary, control) in counts.items():
        if canary < 0 or control < 0:
            raise ValueError("counts of events must not be negative")
        if not 0 < allocation < WHOLE:
            continue
        # With odds m rho : 1 - rho, theta_R / theta_m = k (1 + odds) / (1 + k odds), and the other factor is the same without k.
        odds = ratio * allocation / (WHOLE - allocation)
        for place, multiple in enumerate(multiples):
            either = log((1 + odds) / (1 + multiple * odds))
            bets[place] += canary * (log(multiple) + either) + control * either
    return log_mean(bets)
