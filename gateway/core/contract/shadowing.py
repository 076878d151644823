"""What is told about a shadow: records of the API and of `--json`. Field names are a public interface."""

from __future__ import annotations

import msgspec

from gateway.core.contract.pair import Dimension, Turn


class DimensionRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dimension in one class of turns. Rates are shares of pairs or trios, 0 to 1."""

    dimension: Dimension
    pairs: int
    raw: float
    """Share of all pairs in which candidate and primary differ; where one side is the worse, in which the candidate is."""
    trios: int
    """Pairs that also have a secondary: only these can tell noise from difference."""
    noise: float
    """Share of trios in which the primary's own release differs from itself in the same way."""
    excess: float
    """Raw less noise, over trios."""
    low: float
    high: float
    """95 percent score interval of the excess (`core.stats.tango`)."""
    e_value: float
    """Evidence that the candidate differs more than the primary differs from itself (`core.stats.signs`)."""
    verdict: str
    """`not enough A/A data`, `within noise`, `differs beyond noise` or `worse beyond noise`."""
    worst: tuple[str, ...] = ()
    """Pair ids, gravest first."""


class TurnReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything about one class of turns; classes are never averaged together."""

    turn: Turn
    pairs: int
    trios: int
    classes: dict[str, int]
    """Pairs by class."""
    verdict: str
    """Of the answers as a whole, with one test: the dimensions only say in what."""
    e_value: float
    rows: tuple[DimensionRow, ...]
    """Dimensions that were found at all, largest excess first."""


class Measure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A number per call, as medians: primary, candidate, and the secondary where there is one."""

    name: str
    unit: str
    pairs: int
    primary: float
    candidate: float
    secondary: float | None = None
    """The fair comparison for times: fired together with the candidate."""


class ShadowReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a shadow found so far."""

    alias: str
    candidate: str
    primary: tuple[str, ...]
    """Releases that were live meanwhile."""
    pairs: int
    trios: int
    since_ms: int
    until_ms: int
    """Times of the first and last pair."""
    turns: tuple[TurnReport, ...] = ()
    measures: tuple[Measure, ...] = ()
    results: dict[str, int] = {}
    """How jobs ended: `pair:CLASS`, `skip:REASON`, `dead`."""
    cost_micro_usd: int = 0
    """Spent on candidate and secondary, where the price is known."""
    unpriced: int = 0
    """Calls whose price is not known."""
