"""Two JSON values, leaf by leaf: where a member is missing, extra, of another type, or has another value.

The rule: order of members never matters, order of a list always does, numbers are compared by value. Bounded: what a provider
sends decides how large a value is, not how long it takes to compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

MAX_LEAVES = 5_000
"""Leaves of one value that are looked at; what lies beyond is one difference of its own."""
MAX_FOUND = 50
"""Differences told of one pair of values."""
SHOWN = 200
"""Characters of a value that are told."""
_LOOSE = str.maketrans("", "", ",./-_*^")


class Change(StrEnum):
    """What is different at a path."""

    MISSING = "missing"
    EXTRA = "extra"
    RETYPED = "retyped"
    CHANGED = "changed"
    NORMALISED = "normalised"
    """The same but for case, white space and punctuation of a string."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One difference of two values; `first` and `second` are JSON text, empty where there is nothing."""

    path: str
    change: Change
    first: str
    second: str


def compare(first: Any, second: Any, path: str = "$") -> list[Leaf]:
    """Every difference of two decoded JSON values, in the order of their paths, at most MAX_FOUND."""
    before, after = _leaves(first, path), _leaves(second, path)
    found: list[Leaf] = []
    for place in sorted(before.keys() | after.keys()):
        change = _change(before, after, place)
        if change is not None:
            found.append(Leaf(place, change, text(before, place), text(after, place)))
            if len(found) == MAX_FOUND:
                break
    return found


def loose(value: str) -> str:
    """A string without case, extra white space and the punctuation that models vary (BFCL's practice)."""
    return " ".join(value.translate(_LOOSE).casefold().split())


def text(leaves: dict[str, Any], path: str) -> str:
    """The JSON text of a leaf, cut at SHOWN characters; empty when there is none."""
    if path not in leaves:
        return ""
    shown = msgspec.json.encode(leaves[path]).decode()
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"


def _change(before: dict[str, Any], after: dict[str, Any], path: str) -> Change | None:
    if path not in after:
        return Change.MISSING
    if path not in before:
        return Change.EXTRA
    first, second = before[path], after[path]
    if _kind(first) != _kind(second):
        return Change.RETYPED
    if first == second:
        return None
    if isinstance(first, str) and loose(first) == loose(second):
        return Change.NORMALISED
    return Change.CHANGED


def _kind(value: Any) -> str:
    """JSON's own types: a boolean is no number, an integer is one."""
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def _leaves(value: Any, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, leaf in _walk(value, path):
        found[place] = leaf
        if len(found) == MAX_LEAVES:
            found[f"{path} and more"] = "not compared"
            break
    return found


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Leaves with their paths, without recursion: depth is the sender's choice. An empty list or object is a leaf."""
    waiting: list[tuple[str, Any]] = [(path, value)]
    while waiting:
        place, node = waiting.pop()
        if isinstance(node, dict) and node:
            waiting += [(f"{place}.{name}", member) for name, member in reversed(node.items())]
        elif isinstance(node, list) and node:
            waiting += [(f"{place}[{index}]", node[index]) for index in range(len(node) - 1, -1, -1)]
        else:
            yield place, node
