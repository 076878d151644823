"""The tool calls of two answers: which tools, how often, with which arguments, and whether their release could run them.

The rule: calls of one answer are made side by side, so their order means nothing; a string argument that differs only in case,
spaces or punctuation is told, and weighs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from gateway.core.contract.artifact import Tool
from gateway.core.contract.pair import Difference, Dimension
from gateway.core.contract.reply import ToolCall
from gateway.core.diff.severity import HARMLESS, SEVERITY
from gateway.core.diff.values import SHOWN, Change, Leaf, compare

MAX_CALLS = 32
"""Calls of one answer that are compared one by one; names are counted over all of them."""


@dataclass(frozen=True, slots=True)
class Toolset:
    """The tools that a release gives its model, ready to check calls with. A schema that is no schema checks nothing."""

    names: frozenset[str]
    validators: Mapping[str, Validator]

    @classmethod
    def of(cls, tools: Sequence[Tool]) -> Toolset:
        """From neutral tools; hosted ones are the provider's own to run and are not checked."""
        validators = {}
        for tool in tools:
            if not tool.name:
                continue
            try:
                schema = msgspec.json.decode(tool.parameters)
                kind = validator_for(schema)
                kind.check_schema(schema)
            except (msgspec.DecodeError, SchemaError, TypeError):
                continue
            validators[tool.name] = kind(schema)
        return cls(frozenset(tool.name for tool in tools if tool.name), validators)

    def fault(self, call: ToolCall) -> tuple[Dimension, str] | None:
        """What keeps this release from running a call: the dimension and the path at fault; None when nothing does."""
        if call.name not in self.names:
            return Dimension.UNKNOWN_TOOL, "$"
        value = arguments(call)
        if not isinstance(value, dict):
            return Dimension.INVALID_ARGUMENTS, "$"
        validator = self.validators.get(call.name)
        wrong = next(validator.iter_errors(value), None) if validator is not None else None
        return (Dimension.INVALID_ARGUMENTS, wrong.json_path) if wrong is not None else None


def arguments(call: ToolCall) -> Any:
    """The arguments as a value; None when they are no JSON. A tool without arguments may be called with nothing at all."""
    try:
        return msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None


def between(
    primary: Sequence[ToolCall], candidate: Sequence[ToolCall], own: Toolset | None, theirs: Toolset | None
) -> list[Difference]:
    """Differences of the calls of two answers. `own` and `theirs` are the toolsets of primary and candidate, None where unknown."""
    found = [*_runnable(primary, candidate, own, theirs)]
    if bool(primary) != bool(candidate):
        return [*found, _difference(Dimension.CALLS, "$.calls", _names(primary), _names(candidate))]
    before, after = Counter(c.name for c in primary), Counter(c.name for c in candidate)
    if before != after:
        found.append(_difference(Dimension.TOOL_NAMES, "$.calls", _names(primary), _names(candidate)))
    elif [c.name for c in primary] != [c.name for c in candidate]:
        found.append(_difference(Dimension.TOOL_ORDER, "$.calls", _names(primary), _names(candidate)))
    for index, one, other in _matched(primary[:MAX_CALLS], candidate[:MAX_CALLS]):
        found += _argued(f"$.calls[{index}].{one.name}", one, other)
    return found


def _runnable(
    primary: Sequence[ToolCall], candidate: Sequence[ToolCall], own: Toolset | None, theirs: Toolset | None
) -> Iterator[Difference]:
    """A fault of one side that the other side does not have, per dimension: the first of each."""
    before, after = _faults(primary, own), _faults(candidate, theirs)
    for dimension in (Dimension.UNKNOWN_TOOL, Dimension.INVALID_ARGUMENTS):
        if (dimension in before) != (dimension in after):
            path, call = after.get(dimension) or before[dimension]
            shown = f"{call.name}({call.arguments})"[:SHOWN]
            worse = dimension in after
            yield Difference(
                dimension, path, "" if worse else shown, shown if worse else "", SEVERITY[dimension], worse
            )


def _faults(calls: Sequence[ToolCall], tools: Toolset | None) -> dict[Dimension, tuple[str, ToolCall]]:
    found: dict[Dimension, tuple[str, ToolCall]] = {}
    if tools is None:
        return found
    for index, call in enumerate(calls):
        fault = tools.fault(call)
        if fault is not None:
            found.setdefault(fault[0], (f"$.calls[{index}].{call.name}{fault[1][1:]}", call))
    return found


def _matched(primary: Sequence[ToolCall], candidate: Sequence[ToolCall]) -> Iterator[tuple[int, ToolCall, ToolCall]]:
    """Calls of the same tool, each with the other side's most alike: equal ones first, then by fewest differing leaves."""
    left = list(candidate)
    rest: list[tuple[int, ToolCall]] = []
    for index, call in enumerate(primary):
        twin = next((c for c in left if c.name == call.name and arguments(c) == arguments(call)), None)
        if twin is None:
            rest.append((index, call))
        else:
            left.remove(twin)
            yield index, call, twin
    for index, call in rest:
        same = [c for c in left if c.name == call.name]
        if same:
            nearest = min(same, key=lambda c: len(compare(arguments(call), arguments(c))))
            left.remove(nearest)
            yield index, call, nearest


def _argued(path: str, one: ToolCall, other: ToolCall) -> list[Difference]:
    first, second = arguments(one), arguments(other)
    if (first is None) or (second is None):
        same = one.arguments == other.arguments
        leaf = Leaf(path, Change.CHANGED, one.arguments[:SHOWN], other.arguments[:SHOWN])
        return [] if same else [_argument(leaf)]
    return [_argument(leaf) for leaf in compare(first, second, path)]


def _argument(leaf: Leaf) -> Difference:
    weight = HARMLESS if leaf.change is Change.NORMALISED else SEVERITY[Dimension.ARGUMENTS]
    return Difference(Dimension.ARGUMENTS, leaf.path, leaf.first, leaf.second, weight)


def _difference(dimension: Dimension, path: str, primary: str, candidate: str) -> Difference:
    return Difference(dimension, path, primary, candidate, SEVERITY[dimension])


def _names(calls: Sequence[ToolCall]) -> str:
    return ", ".join(call.name for call in calls)[:SHOWN]
