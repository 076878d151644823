"""Must-pass items: those that the incumbent passes every time and the candidate hardly ever are confirmed regressions.

Rule of the file: a suite with flaky items shows confirmed regressions of the incumbent against itself too. So the count alone
never aborts: it passes when it is within the allowance, and fails when the items' own flakiness does not explain it.

The test is exact. If the two releases answer alike, which of an item's answers came from which release is chance, so given its
passes in all the chance that they fall "incumbent every time, candidate at most two in five" is hypergeometric. The number of
such items is then a sum of independent draws with known chances (Fisher 1935; a permutation test in each item).

Items of one source may fail together, so a source is one draw: it looks regressed when any of its items does, by a chance of at
most the sum of theirs (Boole), however they depend on each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from types import MappingProxyType

from gateway.core.gate.bounds import source_of

PASSES = 0.5
"""A score of at least this is a pass."""
HARDLY = 0.4
"""A candidate that passes at most this share of the repeats, two in five, fails the item (rollout.md, "Eval gate")."""
LEAST_REPEATS = 5
"""With fewer answers a flaky item and a broken one look alike."""
NO_GROUPS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Regressions:
    """Confirmed ones by item id, and how likely as many sources have one where both releases answer alike."""

    items: tuple[str, ...]
    chance: float


def confirmed(
    items: Iterable[tuple[str, Sequence[float], Sequence[float]]], groups: Mapping[str, str] = NO_GROUPS
) -> Regressions:
    """Regressions among (id, candidate's scores, incumbent's scores). Items without answers on either side are none. `groups` are
    the ids of items that share a source, and its name."""
    found: dict[str, str] = {}
    chances: dict[str, float] = {}
    for name, candidate, incumbent in items:
        if not candidate or not incumbent:
            continue
        good = sum(score >= PASSES for score in candidate)
        whole = sum(score >= PASSES for score in incumbent)
        source = source_of(name, groups.get(name, ""))
        chances[source] = chances.get(source, 0.0) + _chance(good + whole, len(candidate), len(incumbent))
        if whole == len(incumbent) and good <= HARDLY * len(candidate):
            found[name] = source
    likely = sorted(min(chance, 1.0) for chance in chances.values())
    return Regressions(tuple(sorted(found)), _at_least(len(set(found.values())), likely))


def _chance(passes: int, candidate: int, incumbent: int) -> float:
    """That all of the incumbent's answers and few of the candidate's are among the passes, if they were dealt out."""
    left = passes - incumbent
    if left < 0 or left > HARDLY * candidate:
        return 0.0
    return comb(candidate, left) / comb(candidate + incumbent, passes)


def _at_least(count: int, chances: Iterable[float]) -> float:
    """Chance of `count` or more of independent events."""
    below = [1.0] + [0.0] * (count - 1) if count else []
    for chance in chances:
        if chance:
            for at in range(count - 1, -1, -1):
                below[at] = below[at] * (1 - chance) + (below[at - 1] * chance if at else 0.0)
    return max(0.0, 1.0 - sum(below))
