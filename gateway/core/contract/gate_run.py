"""A run of the gate while it goes on: what is asked of whom, what came of each call, and how far it is.

Rule of the file: what a run is, is fixed when it begins. Answers are scored where they come in and are not kept.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from gateway.core.contract.evidence import GateReport
from gateway.core.contract.records import Record
from gateway.core.contract.suite import SuiteKind


class Side(StrEnum):
    """Which of the two releases a call is to."""

    CANDIDATE = "c"
    INCUMBENT = "i"


class SuiteRun(msgspec.Struct, frozen=True):
    """A suite of a run."""

    suite: str
    """`NAME@VERSION`."""
    kind: SuiteKind
    where: str
    """As the configuration names it; read again for each piece of work."""
    digest: str
    items: int
    repeats: int


class GateRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run of the gate, as it was begun."""

    id: str
    alias: str
    candidate: str
    incumbent: str
    actor: str
    started_ms: int
    suites: tuple[SuiteRun, ...]
    judge: str = ""
    rubric: str = ""
    """Digest of the words that the judge is asked in."""
    budget_micro: int = 0
    dialect: str = ""
    request: dict[str, Any] = {}
    """Members of every request besides the items' own."""
    epochs: dict[str, int] = {}
    """Drift epochs by snapshot when it was begun: what changes under way makes its evidence stale."""


class Outcome(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What came of one call: a score, or why there is none. `model` is what the provider says answered."""

    score: float | None
    why: str = ""
    model: str = ""


class GateSuite(Record, frozen=True):
    """A suite of a plan."""

    suite: str
    kind: SuiteKind
    digest: str
    items: int
    repeats: int
    calls: int
    """To both releases, without the judge's."""
    needs: str
    """What the suite's size can show, and whether that is enough."""


class GatePlan(Record, frozen=True):
    """Answer of `gate.plan`: what a run asks and about what it costs."""

    alias: str
    candidate: str
    candidate_model: str
    incumbent: str
    incumbent_model: str
    suites: tuple[GateSuite, ...]
    calls: int
    judged: int
    """Calls of the judge, at most."""
    input_tokens: int
    """Reckoned from the size of the requests, four bytes to a token."""
    output_tokens: int
    """Reckoned from the length of the items' good examples."""
    cost_micro: int | None
    """Reckoned; None where a price is not known."""
    most_micro: int | None
    """If every answer were as long as its item allows."""
    budget_micro: int
    refusals: tuple[str, ...]
    """What keeps the run from beginning."""
    warnings: tuple[str, ...]


class GateProgress(Record, frozen=True):
    """Answer of `gate.begin` and `gate.work`: how far a run is."""

    id: str
    alias: str
    candidate: str
    incumbent: str
    calls: int
    """Answers that are wanted."""
    done: int
    busy: int
    """Being asked by somebody else now."""
    passed: dict[str, int]
    """Answers with a score of at least one half, by `candidate` and `incumbent`."""
    failed: dict[str, int]
    unscored: dict[str, int]
    """Answers without a score, by reason."""
    spent_micro: int
    unpriced: int
    """Calls whose price is not known."""
    input_tokens: int
    output_tokens: int
    budget_micro: int
    stopped: str
    """`budget` when no more is asked; empty otherwise."""
    evidence: str
    """Digest of the evidence, once the run is finished."""

    @property
    def over(self) -> bool:
        """Nothing is to be asked any more."""
        return self.done == self.calls or bool(self.stopped)


class GateFinished(Record, frozen=True):
    """Answer of `gate.finish`."""

    id: str
    evidence: str
    progress: GateProgress
    report: GateReport

    @property
    def audited(self) -> str:
        """Word of the audit line."""
        return self.report.verdict.value
