"""Lay a text along a template: what of it the template says already, and what is left as changes.

Rule of the file: a hole takes what stands in its place and nothing else. Literals beside a hole keep as many units or tokens
of the text as they had, so that a changed sentence next to a changing document is still seen as a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from gateway.core.templates.text import Unit, value_like

HOLE_MARK = "\ue000"
SHORT = HOLE_MARK + "s"
"""A hole inside a unit that takes up to SHORT_TOKENS tokens."""
LONG = HOLE_MARK + "l"
"""A hole inside a unit that takes any number of tokens."""
GAP: Unit = (HOLE_MARK + "g",)
"""A hole that takes any number of whole units."""
SHORT_TOKENS = 8
ALIKE = 0.4
"""Share of tokens that two units must have in common to be one unit that changed."""
SEARCHES = 20_000
"""Units with holes that are tried for units that stand elsewhere; beyond it they count as changed."""

Place = tuple[int, int]
"""Unit and token of a template; token -1 is the place before the unit."""
Region = tuple[int, int, int, int, bool]
"""From and to in the template, from and to in the text, and whether a hole takes it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a text has in place of literals of a template: from `start` up to `end`."""

    start: Place
    end: Place
    value: Unit
    plain: bool
    """Ordinary words or a long span: nothing that looks like a name or a number."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A text laid along a template. `skeleton` is the text with the template's holes in it; `cost` counts changed tokens."""

    skeleton: tuple[Unit, ...]
    changes: tuple[Change, ...]
    cost: int


def is_hole(item: Any) -> bool:
    """Whether a token is a hole, or a unit a gap."""
    return bool(item == GAP if isinstance(item, tuple) else item[:1] == HOLE_MARK)


def holed(unit: Unit) -> bool:
    """Whether a unit has a hole inside."""
    return unit != GAP and any(token[0] == HOLE_MARK for token in unit)


def fit(template: Sequence[Unit], text: Sequence[Unit]) -> Fit:
    """Lay `text` along `template`. No changes means that the template says all of it."""
    text = _named(template, text)
    skeleton: list[Unit] = []
    changes: list[Change] = []
    at, cost = 0, 0
    for i1, i2, j1, j2, taken in regions(template, text):
        skeleton.extend(template[at:i1])
        at = i2
        if taken:
            skeleton.append(GAP)
            continue
        for units, found, price in _changed(template, (i1, i2), text[j1:j2]):
            skeleton.extend(units)
            changes.extend(found)
            cost += price
    skeleton.extend(template[at:])
    return Fit(joined(skeleton), tuple(changes), cost)


def joined(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Units with neighbouring gaps made one."""
    return tuple(unit for at, unit in enumerate(units) if unit != GAP or at == 0 or units[at - 1] != GAP)


def takes(pattern: Unit, unit: Unit) -> bool:
    """Whether a unit is what a unit with holes says."""
    at, start, end = 0, 0, len(pattern)
    room, open_ = 0, False
    while start < end:
        if pattern[start][0] == HOLE_MARK:
            room += SHORT_TOKENS if pattern[start] == SHORT else len(unit)
            open_ = True
            start += 1
            continue
        stop = start
        while stop < end and pattern[stop][0] != HOLE_MARK:
            stop += 1
        literal = pattern[start:stop]
        size = len(literal)
        first = len(unit) - size if stop == end else at  # what ends the pattern ends the unit
        last = at + room if open_ else at
        here = next(
            (p for p in range(max(first, at), min(last, len(unit) - size) + 1) if unit[p : p + size] == literal), -1
        )
        if here < 0:
            return False
        at, start, room, open_ = here + size, stop, 0, False
    return at + room >= len(unit)


def regions(before: Sequence[Any], after: Sequence[Any]) -> Iterator[Region]:
    """Where two sequences differ, in order; a hole of `before` takes what is left of its region by the literals beside it."""
    head, low = 0, min(len(before), len(after))
    while head < low and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < low - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    matcher = SequenceMatcher(None, before[head : len(before) - tail], after[head : len(after) - tail])
    for word, i1, i2, j1, j2 in matcher.get_opcodes():
        if word != "equal":
            yield from _split(before, (i1 + head, i2 + head), (j1 + head, j2 + head))


def _split(before: Sequence[Any], old: tuple[int, int], new: tuple[int, int]) -> Iterator[Region]:
    (i1, i2), (j1, j2) = old, new
    holes = [i for i in range(i1, i2) if is_hole(before[i])]
    if not holes:
        yield i1, i2, j1, j2, False
        return
    first, last = holes[0], holes[-1]
    left = min(first - i1, j2 - j1)
    right = min(i2 - 1 - last, j2 - j1 - left)
    if first > i1:
        yield i1, first, j1, j1 + left, False
    at = first
    for hole in holes:
        if hole > at:
            yield at, hole, j1 + left, j1 + left, False  # literals between holes are gone: the holes took their place
        # The first hole takes everything: nobody can say which of several it was.
        yield hole, hole + 1, j1 + left, (j2 - right if hole == first else j1 + left), True
        at = hole + 1
    if last + 1 < i2:
        yield last + 1, i2, j2 - right, j2, False


def _named(template: Sequence[Unit], text: Sequence[Unit]) -> Sequence[Unit]:
    """The text, its units that a unit with holes says replaced by that unit: in place first, then wherever they went."""
    literals = set(template)
    if not any(holed(unit) for unit in literals):
        return text
    named = list(text)
    low = min(len(template), len(text))
    head = 0
    while head < low and _says(template[head], text[head]):
        named[head] = template[head]
        head += 1
    tail = 0
    while tail < low - head and _says(template[-1 - tail], text[-1 - tail]):
        named[-1 - tail] = template[-1 - tail]
        tail += 1
    patterns = [unit for unit in dict.fromkeys(template[head : len(template) - tail]) if holed(unit)]
    left, near = SEARCHES, 0
    for at in range(head, len(text) - tail) if patterns else ():
        if named[at] in literals:
            continue
        for step in range(min(len(patterns), left)):
            left -= 1
            place = (near + step) % len(patterns)  # lines keep their order: the next pattern is the likely one
            if takes(patterns[place], text[at]):
                named[at], near = patterns[place], place + 1
                break
    return named


def _says(pattern: Unit, unit: Unit) -> bool:
    return pattern == unit or (holed(pattern) and takes(pattern, unit))


def _changed(
    template: Sequence[Unit], old: tuple[int, int], new: Sequence[Unit]
) -> Iterator[tuple[list[Unit], list[Change], int]]:
    """Units of the skeleton, changes and cost of one region without gaps."""
    i1, i2 = old
    if i2 - i1 == len(new):
        for at, unit in enumerate(new, i1):
            yield _unit_changed(template[at], at, unit)
        return
    value = tuple(token for unit in new for token in unit)
    size = sum(len(unit) for unit in template[i1:i2])
    yield list(new), [Change((i1, -1), (i2, -1), value, plain=True)], size + len(value)


def _unit_changed(before: Unit, at: int, after: Unit) -> tuple[list[Unit], list[Change], int]:
    """One unit against another: a few spans where they are alike, else the whole unit."""
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < ALIKE:
        whole = Change((at, -1), (at + 1, -1), after, plain=not value_like(after))
        return [after], [whole], len(before) + len(after)
    unit: list[str] = []
    changes: list[Change] = []
    cost = last = 0
    for i1, i2, j1, j2, taken in regions(before, after):
        unit.extend(before[last:i1])
        last = i2
        if taken and (before[i1] == LONG or j2 - j1 <= SHORT_TOKENS):
            unit.append(before[i1])
            continue
        value = after[j1:j2]
        unit.extend(value)
        changes.append(Change((at, i1), (at, i2), value, plain=not value_like(value)))
        cost += i2 - i1 + len(value)
    unit.extend(before[last:])
    return [tuple(unit)], changes, cost
