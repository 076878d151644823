"""What two groups of runs did, side by side, with what chance alone would do.

Rule of the file: counts in, counts and a probability out. A share is never printed without its n, and a gap never without
how often chance alone makes one as big.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from types import MappingProxyType

from gateway.demo.agent import Run

Question = Callable[[Run], bool]
QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "looked the order up first": lambda run: run.looked_up_first,
        "refunded against the policy": lambda run: run.refunded,
        "closed with bare JSON, as asked": lambda run: run.kept_json,
        "replied in over 34 words": lambda run: run.words > 34,
    }
)
"""Behaviours that are read off a finished run."""
RARE = 0.001
"""A gap that chance alone makes less often than this is called a change. Where nothing changes at all, four
questions see a change in at most 4 of 1,000 seeds."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of n."""

    count: int
    of: int

    def __str__(self) -> str:
        percent = f"{100 * self.count / self.of:.0f} %" if self.of else "-"
        return f"{self.count} of {self.of} ({percent})"


@dataclass(frozen=True, slots=True)
class Gap:
    """One behaviour before and after."""

    question: str
    before: Share
    after: Share

    @property
    def by_chance(self) -> float:
        """How often chance alone makes a gap at least as big between groups of these sizes: Fisher's exact test, two-sided."""
        return fisher(self.before, self.after)

    @property
    def changed(self) -> bool:
        """Chance alone is no explanation."""
        return self.by_chance < RARE


def gaps(before: Sequence[Run], after: Sequence[Run]) -> list[Gap]:
    """Every behaviour of two groups of runs."""
    return [Gap(name, share(before, asks), share(after, asks)) for name, asks in QUESTIONS.items()]


def share(runs: Sequence[Run], question: Question) -> Share:
    """How many runs did it."""
    return Share(sum(map(question, runs)), len(runs))


def fisher(one: Share, other: Share) -> float:
    """Two-sided exact probability that two groups differ this much when both are drawn from the same urn."""
    total, hits = one.of + other.of, one.count + other.count
    ways = [comb(one.of, k) * comb(other.of, hits - k) for k in range(max(0, hits - other.of), min(hits, one.of) + 1)]
    seen = comb(one.of, one.count) * comb(other.of, other.count)
    return sum(way for way in ways if way <= seen) / comb(total, hits)
