"""A pair: the stored exchanges of one request on two releases, and what is different between them. Field names are a public interface.

The rule: the list of dimensions is closed. A finding that fits none is a new line here, with its weight, never a free text.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.core.contract.exchange import Observed


class Dimension(StrEnum):
    """In what two answers to the same request can differ."""

    ERROR = "error"
    """One failed, the other did not."""
    FINISH = "finish"
    """Another reason to end, beyond those below."""
    TRUNCATED = "truncated"
    """One ended at its token limit."""
    EMPTY = "empty"
    """One said nothing and called nothing."""
    REFUSAL = "refusal"
    """One declined in the dialect's own words: a refusal part, a stop reason."""
    SUSPECTED_REFUSAL = "suspected_refusal"
    """One sounds like declining; a guess from its first words, and told as one."""
    FILTERED = "filtered"
    """The provider's filter ended one."""
    CHOICES = "choices"
    """Another number of answers."""
    JSON = "json"
    """One is JSON, the other is not."""
    SCHEMA = "schema"
    """One keeps the schema the request asked for, the other does not."""
    JSON_SHAPE = "json_shape"
    """Both are JSON, with other members or other types."""
    JSON_VALUE = "json_value"
    """Both are JSON of one shape, with another value somewhere."""
    FENCE = "fence"
    """Other Markdown: code fences, lists, headings."""
    CALLS = "calls"
    """One calls tools, the other does not."""
    TOOL_NAMES = "tool_names"
    """Other tools are called, or another number of times."""
    TOOL_ORDER = "tool_order"
    """The same calls side by side in another order."""
    ARGUMENTS = "arguments"
    """The same tool with other arguments."""
    UNKNOWN_TOOL = "unknown_tool"
    """One calls a tool that its release does not have."""
    INVALID_ARGUMENTS = "invalid_arguments"
    """One calls a tool with arguments that its schema refuses."""
    TEXT = "text"
    """Other words."""
    LENGTH = "length"
    """Less than half or more than twice as long."""
    NUMBERS = "numbers"
    """Other numbers, dates or amounts in the text."""
    LINKS = "links"
    """Other links or addresses in the text."""
    NEGATION = "negation"
    """A `not` more or less: the words are alike, the meaning may be the opposite."""


class PairClass(StrEnum):
    """What a pair amounts to."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"
    """Differs only in what nobody acts on: white space, case, order of calls side by side, a few words."""
    DIVERGENT = "divergent"
    REGRESSION = "regression"
    """The candidate is worse in something that has a better and a worse."""


class Turn(StrEnum):
    """Where in a run a request stands. Never averaged together: later turns continue what the primary said before."""

    FIRST = "first"
    LATER = "later"
    TOOL_RESULT = "tool_result"


CAPTURES = ("none", "metrics", "hashes", "redacted", "full")
"""What may be kept of a pair's contents, from the least to the most: a mode never keeps a byte that a higher one would not."""


def least(*modes: str) -> str:
    """The mode that keeps the least: a header may only lower what tenant and configuration allow. Raises ValueError."""
    return min(modes, key=CAPTURES.index)


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding between two answers."""

    dimension: Dimension
    path: str
    """Where: `$` is the whole answer, then `$.text`, `$.calls[0].city`, `$.text.$.total` for JSON inside the text."""
    primary: str
    """The primary's value as text, cut at 200 characters; empty when it has none."""
    candidate: str
    severity: float
    """0 to 1, from a table by dimension."""
    worse: bool = False
    """Whether the candidate is the worse of the two in a dimension that has a better and a worse."""


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of a pair: primary, candidate or secondary. Times are milliseconds; the answer's bytes stand beside it."""

    release: str
    model: str = ""
    """`provider/model-id` that was called."""
    status: int = 0
    """HTTP status; 0 when there was no answer."""
    failed: str = ""
    """Code of a failure; empty when the call worked."""
    first_byte_ms: float = 0.0
    total_ms: float = 0.0
    observed: Observed | None = None
    cost: int | None = None
    """Micro-USD by the price table; None where the price is not known."""
    stream: bool = False


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pair as a line of `trivet:diffs:{ALIAS}`: everything a report needs, nothing anybody said beyond the differences' values."""

    pair: str
    tenant: str
    run: str
    step: int
    turn: Turn
    at_ms: int
    primary: Side
    candidate: Side
    pair_class: PairClass = msgspec.field(name="class")
    severity: float = 0.0
    similarity: float = 1.0
    differences: tuple[Difference, ...] = ()
    secondary: Side | None = None
    noise_class: PairClass | None = None
    """Class of primary against secondary; None where there was no secondary."""
    noise_similarity: float = 1.0
    noise: tuple[Difference, ...] = ()
    probability: float = 1.0
    """Share of runs that were shadowed when this one was chosen."""
    dialect: str = ""
    operation: str = ""
    stream: bool = False
    replay_ms: int = 0
    """When the request was taken from a stored pair to be asked again; 0 for what was live. Its times tell only against the
    secondary's."""
