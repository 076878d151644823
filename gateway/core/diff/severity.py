"""How much each dimension weighs, and which dimensions have a worse side. One table, so that a change of mind is one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.core.contract.pair import Difference, Dimension, PairClass

SEVERITY: Mapping[Dimension, float] = MappingProxyType(
    {
        Dimension.ERROR: 1.0,
        Dimension.UNKNOWN_TOOL: 0.95,
        Dimension.INVALID_ARGUMENTS: 0.9,
        Dimension.SCHEMA: 0.9,
        Dimension.REFUSAL: 0.85,
        Dimension.EMPTY: 0.85,
        Dimension.FILTERED: 0.8,
        Dimension.CALLS: 0.8,
        Dimension.TOOL_NAMES: 0.75,
        Dimension.JSON: 0.75,
        Dimension.TRUNCATED: 0.7,
        Dimension.ARGUMENTS: 0.65,
        Dimension.JSON_SHAPE: 0.65,
        Dimension.NUMBERS: 0.6,
        Dimension.NEGATION: 0.6,
        Dimension.SUSPECTED_REFUSAL: 0.55,
        Dimension.JSON_VALUE: 0.5,
        Dimension.CHOICES: 0.5,
        Dimension.LINKS: 0.45,
        Dimension.LENGTH: 0.3,
        Dimension.FINISH: 0.3,
        Dimension.TEXT: 0.25,
        Dimension.FENCE: 0.15,
        Dimension.TOOL_ORDER: 0.05,
    }
)
"""0 to 1, by what an agent that acts on the answer would do otherwise. A judgement of ours, not a measurement."""

HARMLESS = 0.15
"""A pair whose differences all weigh at most this is equivalent."""

WORSE = frozenset(
    {
        Dimension.ERROR,
        Dimension.UNKNOWN_TOOL,
        Dimension.INVALID_ARGUMENTS,
        Dimension.SCHEMA,
        Dimension.JSON,
        Dimension.EMPTY,
        Dimension.TRUNCATED,
        Dimension.FILTERED,
        Dimension.REFUSAL,
    }
)
"""Dimensions in which one of two answers is the worse: the one that fails, is invalid, is cut, or declines where the other does
the work. A guess, such as a suspected refusal, is never counted as worse."""


def classify(differences: Sequence[Difference], *, same: bool) -> PairClass:
    """What differences amount to; `same` says that the answers are equal byte for byte in every word of the contract."""
    if any(each.worse for each in differences):
        return PairClass.REGRESSION
    if any(each.severity > HARMLESS for each in differences):
        return PairClass.DIVERGENT
    return PairClass.IDENTICAL if same else PairClass.EQUIVALENT
