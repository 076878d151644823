"""Scores of one release as another engine left them, and two of these put side by side.

Rule of the file: an answer without a score stays one. It is neither a pass nor a failure, and it is counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import fsum

from gateway.core.contract.evidence import Score, SuiteEvidence
from gateway.core.contract.suite import SuiteKind

NAMED = re.compile(r"rel_[0-9a-f]{16}")
"""How a release stands in a model's name."""


class Unreadable(ValueError):
    """A file that is not what a reader reads; its text names the file, the line or place, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Brought:
    """One release's scores. Times are as the engine wrote them, ISO 8601; empty where it wrote none."""

    engine: str
    items: Mapping[str, tuple[float | None, ...]]
    """Item id to the scores of its repeats in order, None where an answer has none."""
    suite: str = ""
    """`NAME@VERSION` where the engine names one."""
    categories: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, int] = field(default_factory=dict)
    """Model that answered to how many answers."""
    release: str = ""
    """The release that the engine asked, where its model's name tells."""
    fallbacks: int = 0
    started: str = ""
    ended: str = ""


def number(value: object, where: str) -> float | None:
    """A score from 0 to 1, or None for none (null, NaN). Raises Unreadable for anything else."""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN is not itself
        return None
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float) and 0 <= value <= 1:
        return float(value)
    raise Unreadable(f"{where}: the score is {str(value)[:40]!r}, not a number from 0 to 1")


def strangers(models: Mapping[str, int]) -> int:
    """Answers by another model than the one that gave most."""
    return sum(models.values()) - max(models.values(), default=0)


def pair(candidate: Brought, incumbent: Brought, kind: SuiteKind, suite: str = "") -> SuiteEvidence:
    """Both releases' scores by item, without a digest. `suite` names it where the logs do not, or otherwise.

    Raises Unreadable where the two are not of the same suite, or share no item.
    """
    if candidate.suite != incumbent.suite and not suite:
        told = f"{candidate.suite or 'a suite without a name'} and {incumbent.suite or 'one without'}"
        raise Unreadable(f"the two logs are of different suites, {told}")
    names = dict.fromkeys((*candidate.items, *incumbent.items))
    if not candidate.items.keys() & incumbent.items.keys():
        raise Unreadable("the two logs have no item in common")
    counts = [max(len(values) for values in side.items.values()) for side in (candidate, incumbent)]
    repeats = max(counts)
    if min(counts) == 1 < repeats:
        candidate, incumbent, repeats = _averaged(candidate), _averaged(incumbent), 1
    scores = tuple(_score(name, candidate, incumbent) for name in sorted(names))
    scored = sum(len(score.candidate) + len(score.incumbent) for score in scores)
    return SuiteEvidence(
        suite=suite or candidate.suite,
        kind=kind,
        digest="",
        repeats=max(repeats, 1),
        scores=scores,
        unscored=2 * max(repeats, 1) * len(scores) - scored,
    )


def _averaged(side: Brought) -> Brought:
    """One score an item: where one side has no more than that, more of the other's would compare unlike things."""
    means: dict[str, tuple[float | None, ...]] = {}
    for item, values in side.items.items():
        known = [value for value in values if value is not None]
        means[item] = (fsum(known) / len(known),) if known else (None,)
    return replace(side, items=means)


def _score(name: str, candidate: Brought, incumbent: Brought) -> Score:
    def told(side: Brought) -> tuple[float, ...]:
        return tuple(value for value in side.items.get(name, ()) if value is not None)

    def either(of: str) -> str:
        return str(getattr(candidate, of).get(name, "") or getattr(incumbent, of).get(name, ""))

    return Score(name, told(candidate), told(incumbent), group=either("groups"), category=either("categories"))
