"""A sequential sign test: whether one of two outcomes that should be equally likely is not.

Under the null each sign is a fair coin whatever came before, so a mixture of likelihood ratios against the coin is a
non-negative martingale that starts at 1, and by Ville's inequality reaches 1/alpha with probability at most alpha, at any
number of looks. Source: Ville 1939; mixtures of likelihood ratios as in Robbins 1970. The order of the signs does not
matter, so two counts are all that has to be kept.
"""

from __future__ import annotations

from math import exp, log

ALTERNATIVES = (0.55, 0.6, 0.7, 0.8, 0.9)
"""Shares of positive signs that the mixture bets on, equally: from a slight to a gross difference."""
_LARGEST = 700.0
"""exp of more than this overflows a double; an e-value so large is told as exp of this."""


def log_e_value(positive: int, negative: int) -> float:
    """Natural logarithm of the e-value against "positive signs are no likelier than negative ones".

    One-sided: negative signs count for the null, so it also holds where positive signs are rarer than a coin's. Two counts
    of at least 0; raises ValueError below that.

    For trios of a shadow: a sign per trio, that of D(primary, candidate) - D(primary, secondary), ties left out. Secondary and
    candidate are exchangeable given the primary when both releases answer alike, for any measure D. For pairs of yes and no:
    a sign per pair in which the two differ.
    """
    if positive < 0 or negative < 0:
        raise ValueError("counts of signs must not be negative")
    terms = [positive * log(2 * share) + negative * log(2 * (1 - share)) for share in ALTERNATIVES]
    top = max(terms)
    return top + log(sum(exp(term - top) for term in terms)) - log(len(terms))


def e_value(positive: int, negative: int) -> float:
    """The e-value itself, at most exp(700): evidence against the null, called at 1/alpha."""
    return exp(min(log_e_value(positive, negative), _LARGEST))


def differs(positive: int, negative: int, alpha: float = 0.05) -> bool:
    """Whether the null is rejected with at most `alpha` false alarms over all looks together. `alpha` between 0 and 1."""
    return log_e_value(positive, negative) >= -log(alpha)
