"""What an alias's gate asks for: the suites it declares, how much worse a candidate may be on each, and when evidence expires.

Rule of the file: nothing here is measured. A policy is made from the configuration alone, so the same evidence under the same
policy has the same verdict on every host.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from gateway.core.contract.alias import Stakes
from gateway.core.contract.suite import SuiteKind

DAY_MS = 86_400_000

MARGINS: Mapping[SuiteKind, float] = MappingProxyType(
    {SuiteKind.TASK: 0.05, SuiteKind.SAFETY: 0.02, SuiteKind.REGRESSION: 0.0}
)
"""Drop of the share of passed items that is tolerated, where a suite says none (rollout.md, "Eval gate"). A regression suite
has no margin but an allowance: items are counted, not averaged."""
REPEATS: Mapping[SuiteKind, int] = MappingProxyType({SuiteKind.TASK: 1, SuiteKind.SAFETY: 1, SuiteKind.REGRESSION: 5})
"""How often each item is asked of each release, where a suite does not say."""


class Tier(StrEnum):
    """What a suite's verdict does to the whole."""

    CRITICAL = "critical"
    SUPPORTING = "supporting"
    """Blocks as critical does; the word is for people."""
    ADVISORY = "advisory"
    """Told and never blocks."""


class Declared(msgspec.Struct, frozen=True, omit_defaults=True):
    """A suite that must come out well."""

    suite: str
    """`NAME@VERSION`."""
    digest: str
    """sha256 of its canonical bytes, 64 hex digits: evidence of other bytes is of another suite. Empty where this host cannot
    read the suite; then nothing is evidence of it."""
    kind: SuiteKind
    margin: float | None = None
    """In place of the kind's."""
    ceiling: float | None = None
    """Largest share of items that the candidate may fail, whatever the incumbent does."""
    repeats: int = 0
    """In place of the kind's; evidence with fewer says too little."""
    tier: Tier = Tier.CRITICAL
    external: bool = False
    """Run by another engine and imported: its items are not known here, so its name and version stand for them."""

    @property
    def tolerated(self) -> float:
        """The margin in force, a share."""
        return MARGINS[self.kind] if self.margin is None else self.margin

    @property
    def asked(self) -> int:
        """Repeats in force."""
        return self.repeats or REPEATS[self.kind]

    @property
    def blocks(self) -> bool:
        """Whether the whole needs it."""
        return self.tier is not Tier.ADVISORY


class Policy(msgspec.Struct, frozen=True, omit_defaults=True):
    """The gate of one alias. Shares are of 1."""

    suites: tuple[Declared, ...] = ()
    alpha: float = 0.05
    """One-sided error of each test. A GO needs every suite to pass, so its error is at most this without a correction
    (intersection-union test, Berger 1982)."""
    allowance: int = 0
    """Confirmed regressions that are tolerated in a regression suite."""
    unscored: float = 0.02
    """Share of a suite's answers that may be without a score."""
    max_age_ms: int = 14 * DAY_MS
    """Age at which evidence no longer counts."""
    stakes: Stakes = Stakes.STANDARD
    """At `high` only calls that the gateway made itself are evidence."""
    judge: str = ""
    """Release that judges; what another one judged is not comparable."""
    rubric: str = ""
    """Digest of the words that it is asked in."""
