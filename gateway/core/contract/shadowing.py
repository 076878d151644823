"""What is told about a shadow: records of the API and of `--json`. Field names are a public interface."""

from __future__ import annotations

import msgspec

from gateway.core.contract.alias import Shadow
from gateway.core.contract.pair import Dimension, Line, PairClass, Turn
from gateway.core.contract.records import Acknowledgement, Record


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


class Estimate(Record, frozen=True):
    """What a shadow will cost at the last day's traffic. Money is micro-USD a day; None where nobody can know."""

    requests: int
    """Of the alias in the last day, as far as its journals and steps tell."""
    sampled: int
    """Requests that were looked at for the mean."""
    input: int
    """Mean tokens of a request, cached ones included; priced as if nothing were cached."""
    output: int
    candidate_micro: int | None
    secondary_micro: int | None
    cap_micro: int
    """What `shadow.budget` lets all shadows together spend in a day; 0 is no limit."""
    why: str
    """Why an amount is not known; empty when both are."""


class ShadowPlan(Record, frozen=True):
    """What starting a shadow would mean."""

    alias: str
    shadow: Shadow
    model: str
    estimate: Estimate
    acknowledge: tuple[str, ...]
    """What somebody has to answer for before it starts; empty for most."""
    warnings: tuple[str, ...]


class ShadowMoved(Record, frozen=True):
    """Answer of starting and stopping shadows: before, after, and how fast the workers followed."""

    alias: str
    action: str
    changed: bool
    """False when there was nothing to do: asking twice is harmless."""
    version: int
    before: tuple[Shadow, ...]
    after: tuple[Shadow, ...]
    plan: ShadowPlan | None
    """What it will cost; None for a stop."""
    warnings: tuple[str, ...]
    acknowledged: Acknowledgement


class ShadowRow(Record, frozen=True):
    """A candidate that runs alongside, or did: its counts stay."""

    alias: str
    candidate: str
    model: str
    running: bool
    rate: float
    secondary: float
    started_ms: int
    until_ms: int
    results: dict[str, int]
    """How jobs ended: `pair:CLASS`, `skip:REASON`, `dead`."""


class ShadowStatus(Record, frozen=True):
    """Candidates, the queue, and what was spent."""

    shadows: tuple[ShadowRow, ...]
    queue: int
    """Jobs that wait or are worked on."""
    oldest_ms: int
    """When the oldest of them came; 0 without one."""
    paused: dict[str, int]
    """Providers that are left alone, and until when (ms)."""
    spent_micro: int
    """In this hour."""
    cap_micro: int
    """Of an hour; 0 is no limit."""
    capture: str
    """What is kept of pairs: everybody's word, then those of tenants."""


class PairRow(Record, frozen=True):
    """A line of `shadow pairs`."""

    pair: str
    tenant: str
    run: str
    step: int
    turn: Turn
    at_ms: int
    candidate: str
    pair_class: PairClass
    severity: float
    similarity: float
    differs: tuple[str, ...]
    """Dimension and path of each difference, gravest first."""


class LinePage(Record, frozen=True):
    """Whole lines, newest first, and the cursor of the next page; empty when this was the last."""

    lines: tuple[Line, ...]
    before: str


class AnswerText(Record, frozen=True):
    """One answer as it was put together."""

    release: str
    model: str
    failed: str
    text: str
    reasoning: str
    calls: tuple[str, ...]
    finish: str


class PairDetail(Record, frozen=True):
    """Answer of `shadow show`. Contents need the right `content`, and a capture mode that kept them."""

    line: Line
    capture: str
    kept: bool
    """Whether the contents are still there."""
    request: str | None
    primary: AnswerText | None
    candidate: AnswerText | None
    secondary: AnswerText | None


class Rediffed(Record, frozen=True):
    """Answer of `shadow rediff`."""

    alias: str
    looked: int
    changed: int
    """Lines that are others now; they stand in place of the old ones."""
    classes: dict[str, int]
    """`BEFORE to AFTER` of pairs whose class is another now."""
    passed_over: dict[str, int]
    """Pairs that could not be compared again, by reason: `expired`, `not kept whole`, `release_unknown`."""
    before: str
    """Cursor of the next piece; empty when this was the last."""


class Replayed(Record, frozen=True):
    """How far a replay is."""

    alias: str
    candidate: str
    pairs: int
    """Stored requests of the time asked for that can be asked again."""
    done: int
    """Of these, with a result of this candidate."""
    queued: int
    """Handed to the workers and without a result yet."""
    added: int
    """Handed over by this call."""
    left: int
    """Still to be handed over."""
    passed_over: dict[str, int]
    """Requests that cannot be asked again, by reason: `expired`, `not kept whole`."""
    spent_micro: int
    unpriced: int
    stopped: str
    """Why no more is handed over: `budget`, `queue`; empty while it goes on or is done."""


class Erased(Record, frozen=True):
    """The receipt of an erasure."""

    tenant: str
    run: str
    """Empty for all of the tenant."""
    at_ms: int
    actor: str
    reason: str
    done: bool
    """False when there is more: ask again with `cursor`."""
    cursor: str
    removed: dict[str, int]
    """Keys, lines, entries and jobs taken away by this call and those before it, by kind."""
    kept: tuple[str, ...]
    """What may still name the tenant or the run, and why."""
    receipt: str
    """Id of the entry in `trivet:erasures`; empty until done."""

    @property
    def audited(self) -> str:
        """Word of the audit line."""
        return "done" if self.done else "going_on"
