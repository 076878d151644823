r"""Whether a suite's regular expressions and schemas can be run on whatever a model writes: they compile, and they end.

Rule of the file: a repeat over something that itself repeats or branches, such as `(a+)+` or `(a|b)*`, can take for ever on a
text made for it, so it is refused. What is left costs a power of the text's length, so texts are cut (`checks.MATCHED`) and whoever
scores what models wrote bounds the time of it (`control.gate_grade`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

LONGEST = 500
"""Characters of a pattern."""
OPEN_REPEATS = 6
"""Repeats without an upper bound in one pattern."""
BOUNDED = 20
"""A repeat up to so many times is looked at as a bounded one."""
DEEPEST = 60
"""Levels of a schema."""

_count = re.compile(r"\{(\d*)(,?)(\d*)\}").match
_BACKREFERENCE = "123456789"


def faults(pattern: str) -> Iterator[str]:
    """What is wrong with a regular expression; nothing when it may be run."""
    if len(pattern) > LONGEST:
        yield f"is longer than {LONGEST} characters"
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        yield f"is no regular expression: {error}"
        return
    yield from _slow(pattern)


def schema_faults(schema: Any) -> Iterator[str]:
    """What is wrong with a JSON Schema; nothing when answers can be held against it without asking anybody."""
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        yield f"is no JSON Schema: {error.message}"
        return
    except RecursionError:
        yield "is nested too deep"
        return
    yield from _within(schema, 0)


def _within(node: Any, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        yield "is nested too deep"
        return
    if isinstance(node, list):
        for each in node:
            yield from _within(each, depth + 1)
    if not isinstance(node, dict):
        return
    for name in ("$ref", "$dynamicRef"):
        if isinstance(node.get(name), str) and not node[name].startswith("#"):
            yield f"refers to {node[name]!r}: a suite is whole by itself"
    if isinstance(node.get("pattern"), str):
        yield from (f"has a pattern that {wrong}" for wrong in faults(node["pattern"]))
    for each in node.values():
        yield from _within(each, depth + 1)


class _Group:
    """What a group holds, as far as its repeat cares: alternatives, and parts whose length varies."""

    __slots__ = ("branches", "repeats")

    def __init__(self) -> None:
        self.branches = self.repeats = False


def _slow(pattern: str) -> Iterator[str]:
    """Why a pattern that compiles may take too long."""
    groups, closed = [_Group()], _Group()
    open_repeats = index = 0
    while index < len(pattern):
        char = pattern[index]
        just_closed, index = char == ")", index + 1
        if char == "\\":
            if pattern[index : index + 1] in _BACKREFERENCE:
                yield "refers back to a group"
            index += 1
        elif char == "[":
            index = _after_class(pattern, index)
        elif char == "(":
            groups.append(_Group())
            if pattern.startswith("?P=", index):
                yield "refers back to a group"
            continue
        elif char == "|":
            groups[-1].branches = True
            continue
        elif just_closed:
            closed = groups.pop()
            groups[-1].repeats |= closed.repeats
            groups[-1].branches |= closed.branches
        least, most, index = _repeat(pattern, index)
        groups[-1].repeats |= least != most
        if most <= BOUNDED:
            continue
        open_repeats += 1
        if just_closed and (closed.repeats or closed.branches):
            yield "repeats a group that itself repeats or branches, which can take for ever; write it without the outer repeat"
    if open_repeats > OPEN_REPEATS:
        yield f"has more than {OPEN_REPEATS} repeats without an end"


def _after_class(pattern: str, index: int) -> int:
    """The place after a character class whose bracket was just opened."""
    index += pattern.startswith("^", index)
    index += pattern.startswith("]", index)
    while index < len(pattern) and pattern[index] != "]":
        index += 2 if pattern[index] == "\\" else 1
    return index + 1


def _repeat(pattern: str, index: int) -> tuple[float, float, int]:
    """How often at least and at most what stands before `index` is repeated, and the place after that."""
    least: float = 1
    most: float = 1
    if pattern.startswith(("*", "+"), index):
        least, most, index = 0, float("inf"), index + 1
    elif pattern[index : index + 1] == "?":
        least, index = 0, index + 1
    elif (found := _count(pattern, index)) is not None and found[0] != "{}":
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3]) if found[3] else float("inf")
        index = found.end()
    else:
        return least, most, index
    return least, most, index + (pattern.startswith(("?", "+"), index))
