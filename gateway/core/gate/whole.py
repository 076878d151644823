"""Whether scores can be: each item once, each score between 0 and 1, no more of them than repeats.

Rule of the file: what a verdict would silently misread is refused before it is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gateway.core.contract.evidence import SuiteEvidence

ITEMS = 100_000
REPEATS = 100
NAME = 200
"""Characters of an item's id, group or category."""


def problems(suite: SuiteEvidence) -> Iterator[str]:
    """What is wrong with a suite's scores, one sentence part each; nothing when they can be."""
    if not suite.scores:
        yield "there are none"
    if len(suite.scores) > ITEMS:
        yield f"there are more than {ITEMS} items"
    if not 1 <= suite.repeats <= REPEATS:
        yield f"repeats are between 1 and {REPEATS}, not {suite.repeats}"
    if suite.unscored < 0:
        yield "fewer than no answers are without a score"
    seen: set[str] = set()
    for score in suite.scores:
        if not score.item or max(len(score.item), len(score.group), len(score.category)) > NAME:
            yield f"an item's id has 1 to {NAME} characters, as its group and category have at most"
        elif score.item in seen:
            yield f"item {score.item} is there twice"
        seen.add(score.item)
        for values in (score.candidate, score.incumbent):
            if len(values) > suite.repeats:
                yield f"item {score.item} has {len(values)} scores of {suite.repeats} repeats"
            if not all(0 <= value <= 1 for value in values):
                yield f"a score of item {score.item} is not between 0 and 1"


def items_digest(suite: SuiteEvidence) -> str:
    """Which items these are: sha256 of their sorted ids, for a suite whose text nobody here has."""
    return hashlib.sha256("\n".join(sorted(score.item for score in suite.scores)).encode()).hexdigest()
