"""Evidence: what two releases scored on the same items, bound to both of them and to the suite, and the gate's word on it.

Rule of the file: evidence holds what was observed and nothing that was concluded; a verdict is computed from it by the policy
in force, and by the age it has then. Scores and item ids are stored, answers are not.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

import msgspec

from gateway.core.contract.suite import SuiteKind


class Word(StrEnum):
    """The gate's verdict, of a suite and of all together."""

    GO = "GO"
    NO_GO = "NO-GO"
    INSUFFICIENT = "INSUFFICIENT"


class Origin(StrEnum):
    """Who made the calls that the evidence is of."""

    GATEWAY = "gateway"
    """Both releases were run by this gateway, each call bound to its release and in the journal."""
    IMPORTED = "imported"
    """Brought from outside: what it says of releases and models is its author's word. Never enough at stakes `high`."""


class Score(msgspec.Struct, frozen=True, array_like=True):
    """One item: scores of its repeats, 0 to 1, in order; an answer that could not be scored is left out."""

    item: str
    candidate: tuple[float, ...]
    incumbent: tuple[float, ...]
    group: str = ""
    category: str = ""


class SuiteEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one suite."""

    suite: str
    """`NAME@VERSION`."""
    kind: SuiteKind
    digest: str
    """Of the suite's canonical bytes; of an import without one, of its sorted item ids."""
    repeats: int
    scores: tuple[Score, ...]
    unscored: int = 0
    """Answers that could not be scored: errors, time-outs."""
    judge: str = ""
    """Release that judged; empty where none did."""
    rubric: str = ""
    """Digest of the words that the judge was asked in; empty where none was, and in an import."""


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of the store, addressed by the sha256 of its canonical bytes."""

    alias: str
    candidate: str
    incumbent: str
    origin: Origin
    engine: str
    """`trivet 0.1.0`, `inspect_ai 0.3.285`, `promptfoo`, `jsonl`."""
    actor: str
    started_ms: int
    ended_ms: int
    suites: tuple[SuiteEvidence, ...]
    models: dict[str, tuple[str, ...]] = {}
    """Release id to the models that answered for it, as providers named them."""
    epochs: dict[str, int] = {}
    """Snapshot to its drift epoch at the time."""
    fallbacks: int = 0
    """Answers by another model than the release's."""
    cost_micro: int = 0
    note: str = ""


def canonical(evidence: Evidence) -> bytes:
    """The bytes evidence is addressed by: JSON, keys sorted at every depth, defaults left out, no white space."""
    return msgspec.json.encode(evidence, order="sorted")


def evidence_digest(evidence: Evidence) -> str:
    """The address of evidence: sha256 of its canonical bytes, 64 hex digits."""
    return hashlib.sha256(canonical(evidence)).hexdigest()


class MetricReport(msgspec.Struct, frozen=True):
    """How one suite came out. Shares are of items; `drop` is incumbent less candidate, with a one-sided bound each way."""

    suite: str
    kind: SuiteKind
    verdict: Word
    why: str
    items: int
    candidate: float
    incumbent: float
    only_candidate: int
    """Items that only the candidate passes; 0 where scores are graded."""
    only_incumbent: int
    drop: float
    drop_high: float
    """Upper bound of the drop at the policy's confidence."""
    margin: float
    method: str
    """tango, clustered_t, betting, clopper_pearson, confirmed_regressions."""
    ceiling: float | None = None
    ceiling_bound: float | None = None
    """Upper bound of the candidate's failures, where the suite has a ceiling."""
    flips: tuple[str, ...] = ()
    """Item ids that the incumbent passes and the candidate does not, at most 50."""


class GateReport(msgspec.Struct, frozen=True):
    """The gate's word on evidence under a policy. `stale` says why evidence no longer counts; then the verdict is INSUFFICIENT."""

    alias: str
    candidate: str
    incumbent: str
    verdict: Word
    metrics: tuple[MetricReport, ...]
    evidence: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """Declared suites without any evidence."""
    stale: tuple[str, ...] = ()
    """A sentence per declared suite whose evidence does not count: which, and why."""
    origin: Origin | None = None
    """`imported` where any of the evidence is."""
    why: tuple[str, ...] = ()
    """What keeps it from GO, a sentence per suite; empty at GO."""
