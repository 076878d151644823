"""Compares two whole answers to one request and names every difference.

The rule: what decides whether an answer worked (errors, endings, calls, schema) comes before how it is worded, and text that is
JSON is compared as JSON. The same function compares primary with candidate and primary with secondary, so noise and difference
are measured with one ruler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from jsonschema.protocols import Validator

from gateway.core.contract.pair import Difference, Dimension, PairClass
from gateway.core.contract.reply import Message, Reply
from gateway.core.diff import calls, text, values
from gateway.core.diff.finish import Ending, ending
from gateway.core.diff.severity import HARMLESS, SEVERITY, WORSE, classify

ALIKE = 0.9
"""Texts at least this alike in their words count as equivalent wording."""
_NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """One side of a pair: what came back of one call."""

    reply: Reply | None
    """None when there was no answer to read."""
    failed: str = ""
    """Status or code of a failure; empty when the call worked."""
    tools: calls.Toolset | None = None
    """What this side's release gives its model; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found between two answers."""

    differences: tuple[Difference, ...]
    pair_class: PairClass
    similarity: float
    """Likeness of the words, 0 to 1; 1 when neither has any."""

    @property
    def severity(self) -> float:
        """That of the gravest difference; 0 when there is none."""
        return max((each.severity for each in self.differences), default=0.0)


def compare(primary: Answer, candidate: Answer, schema: Validator | None = None) -> Comparison:
    """The differences of two answers. `schema` is the response schema the request asked for, if it did."""
    if primary.failed or candidate.failed or primary.reply is None or candidate.reply is None:
        return _failures(primary, candidate)
    before, after = primary.reply.messages, candidate.reply.messages
    found: list[Difference] = []
    if len(before) != len(after):
        found.append(_of(Dimension.CHOICES, "$", str(len(before)), str(len(after))))
    likeness: list[float] = []
    for index, (one, other) in enumerate(zip(before, after, strict=False)):
        path = "$" if len(before) == 1 else f"$[{index}]"
        found += _endings(path, one, other)
        found += [
            _at(path, each) for each in calls.between(one.tool_calls, other.tool_calls, primary.tools, candidate.tools)
        ]
        likeness.append(text.similarity(one.text, other.text))
        found += _worded(f"{path}.text", one.text, other.text, likeness[-1], schema)
    same = _bare(primary.reply) == _bare(candidate.reply)
    return Comparison(tuple(found), classify(found, same=same), min(likeness, default=1.0))


def _failures(primary: Answer, candidate: Answer) -> Comparison:
    """Two failures are alike when they failed alike; one is the difference that hides all others."""
    first = primary.failed or ("" if primary.reply is not None else "no answer")
    second = candidate.failed or ("" if candidate.reply is not None else "no answer")
    if first == second:
        return Comparison((), PairClass.IDENTICAL, 1.0)
    found = (_of(Dimension.ERROR, "$", first, second, worse=bool(second) and not first),)
    return Comparison(found, classify(found, same=False), 0.0)


def _endings(path: str, one: Message, other: Message) -> list[Difference]:
    """How both ended, and whether one declined or said nothing."""
    found: list[Difference] = []
    before, after = _states(one), _states(other)
    for dimension in before:
        if before[dimension] != after[dimension]:
            shown = (one.refusal or one.finish, other.refusal or other.finish)
            found.append(_of(dimension, path, *shown, worse=after[dimension]))
    first, second = ending(one.finish), ending(other.finish)
    if not found and first != second and {first, second} != {Ending.NATURAL, Ending.CALLS}:
        found.append(_of(Dimension.FINISH, path, one.finish, other.finish))
    declined = {each.dimension for each in found} & {Dimension.REFUSAL, Dimension.FILTERED, Dimension.EMPTY}
    if not declined and text.sounds_like_refusal(one.text) != text.sounds_like_refusal(other.text):
        found.append(_of(Dimension.SUSPECTED_REFUSAL, f"{path}.text", one.text, other.text))
    return found


def _states(message: Message) -> dict[Dimension, bool]:
    """What an answer is, of the ways in which one can be no use."""
    how = ending(message.finish)
    return {
        Dimension.TRUNCATED: how is Ending.TRUNCATED,
        Dimension.FILTERED: how is Ending.FILTERED,
        Dimension.REFUSAL: bool(message.refusal) or how is Ending.REFUSAL,
        Dimension.EMPTY: not (message.text.strip() or message.tool_calls or message.refusal or message.others),
    }


def _worded(path: str, one: str, other: str, likeness: float, schema: Validator | None) -> list[Difference]:
    """The texts of two answers: as JSON when both are, else as words."""
    if one == other:
        return []
    first, second = _decoded(one), _decoded(other)
    found = _kept(path, first, second, schema)
    if (first is _NOT_JSON) != (second is _NOT_JSON):
        if one.strip() and other.strip():
            found.append(_of(Dimension.JSON, path, one, other, worse=second is _NOT_JSON))
        return found
    if first is not _NOT_JSON:
        return [*found, *map(_leaf, values.compare(first, second, f"{path}.$"))]
    return [*found, *_words(path, one, other, likeness)]


def _words(path: str, one: str, other: str, likeness: float) -> list[Difference]:
    found: list[Difference] = []
    if text.normalise(one) != text.normalise(other):
        weight = SEVERITY[Dimension.TEXT] if likeness < ALIKE else HARMLESS
        found.append(Difference(Dimension.TEXT, path, _cut(one), _cut(other), weight))
    if text.lengths_differ(one, other):
        found.append(_of(Dimension.LENGTH, path, f"{len(one)} characters", f"{len(other)} characters"))
    before, after = text.features(one), text.features(other)
    for dimension, first, second in (
        (Dimension.NUMBERS, before.numbers, after.numbers),
        (Dimension.LINKS, before.links, after.links),
        (Dimension.FENCE, before.marks, after.marks),
    ):
        if first != second:
            lost, gained = first - second, second - first
            found.append(_of(dimension, path, ", ".join(lost.elements()), ", ".join(gained.elements())))
    if likeness >= ALIKE and before.negations != after.negations:
        found.append(_of(Dimension.NEGATION, path, one, other))
    return found


def _kept(path: str, first: Any, second: Any, schema: Validator | None) -> list[Difference]:
    """Whether the schema that the request asked for is kept by one side only."""
    if schema is None:
        return []
    before, after = _breach(first, schema), _breach(second, schema)
    if bool(before) == bool(after):
        return []
    return [_of(Dimension.SCHEMA, path, before, after, worse=bool(after))]


def _breach(value: Any, schema: Validator) -> str:
    if value is _NOT_JSON:
        return "no JSON"
    wrong = next(schema.iter_errors(value), None)
    return f"{wrong.json_path}: {wrong.validator}" if wrong is not None else ""


def _leaf(leaf: values.Leaf) -> Difference:
    if leaf.change is values.Change.NORMALISED:
        return Difference(Dimension.JSON_VALUE, leaf.path, leaf.first, leaf.second, HARMLESS)
    dimension = Dimension.JSON_VALUE if leaf.change is values.Change.CHANGED else Dimension.JSON_SHAPE
    return _of(dimension, leaf.path, leaf.first, leaf.second)


def _decoded(said: str) -> Any:
    """A text that is a JSON object or list, decoded; a bare number or word is text."""
    bare = said.strip()
    if bare[:1] not in ("{", "["):
        return _NOT_JSON
    try:
        return msgspec.json.decode(bare)
    except (msgspec.DecodeError, RecursionError):
        return _NOT_JSON


def _bare(reply: Reply) -> object:
    """A reply without what differs between two calls of one release by nature: ids and identity."""
    return (
        [
            (m.text, m.refusal, [(c.name, c.arguments) for c in m.tool_calls], ending(m.finish), len(m.others))
            for m in reply.messages
        ],
        len(reply.others),
    )


def _of(dimension: Dimension, path: str, first: str, second: str, *, worse: bool = False) -> Difference:
    return Difference(dimension, path, _cut(first), _cut(second), SEVERITY[dimension], worse and dimension in WORSE)


def _at(path: str, each: Difference) -> Difference:
    return each if path == "$" else msgspec.structs.replace(each, path=path + each.path[1:])


def _cut(said: str) -> str:
    return said if len(said) <= values.SHOWN else said[: values.SHOWN - 1] + "…"
