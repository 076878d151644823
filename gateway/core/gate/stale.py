"""Why a piece of evidence does not count for a suite: of something else, too old, or not whole.

Rule of the file: every reason is a sentence part that names what was found and what was wanted. Evidence without a reason is
fresh; there is no third state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.core.contract.alias import Stakes
from gateway.core.contract.evidence import Evidence, Origin, SuiteEvidence
from gateway.core.gate.policy import DAY_MS, Declared, Policy


class Wanted(msgspec.Struct, frozen=True):
    """What evidence has to be about, and when it is looked at."""

    alias: str
    candidate: str
    incumbent: str
    now_ms: int
    epochs: Mapping[str, int] = {}
    """Snapshot to its drift epoch now, of both releases; one that was never seen to drift may be left out."""
    judge_epochs: Mapping[str, int] = {}
    """The same of the judge's."""


def name_of(suite: str) -> str:
    """`NAME` of `NAME@VERSION`."""
    return suite.partition("@")[0]


def reasons(
    evidence: Evidence, suite: SuiteEvidence, declared: Declared, policy: Policy, wanted: Wanted
) -> Iterator[str]:
    """Why `suite` of `evidence` does not count for `declared`; nothing when it does."""
    if evidence.candidate != wanted.candidate:
        yield f"is of another candidate, {evidence.candidate}"
    if evidence.incumbent != wanted.incumbent:
        yield f"is against another incumbent, {evidence.incumbent}"
    if suite.suite != declared.suite:
        yield f"is of {suite.suite}"
    elif not declared.external and not declared.digest:
        yield "cannot be told to be of the suite declared, which this host cannot read"
    elif not declared.external and suite.digest != declared.digest:
        yield "is of other items: the suite's digest has changed"
    if suite.kind is not declared.kind:
        yield f"is of a suite of kind {suite.kind.value}, not {declared.kind.value}"
    age = wanted.now_ms - evidence.ended_ms
    if age > policy.max_age_ms:
        yield f"is {age / DAY_MS:.3g} days old and counts for {policy.max_age_ms / DAY_MS:.3g}"
    for snapshot, epoch in wanted.epochs.items():
        if evidence.epochs.get(snapshot, 0) != epoch:
            yield f"was made before {snapshot} was seen to change"
    yield from _judged(evidence, suite, declared, policy, wanted)
    if evidence.fallbacks:
        yield f"has {evidence.fallbacks} answers by another model than the release's"
    if evidence.origin is Origin.IMPORTED and policy.stakes is Stakes.HIGH:
        yield "was imported, and at stakes `high` only runs through this gateway count"
    yield from _thin(suite, declared, policy)


def _judged(
    evidence: Evidence, suite: SuiteEvidence, declared: Declared, policy: Policy, wanted: Wanted
) -> Iterator[str]:
    """Another judge, other words to it, or another model behind it. The judge of another engine's suite is that engine's."""
    if not suite.judge or declared.external:
        return
    if suite.judge != policy.judge:
        yield f"was judged by {suite.judge}, and the judge is {policy.judge or 'nobody'} now"
        return
    if evidence.origin is Origin.GATEWAY and suite.rubric != policy.rubric:
        yield "was judged in other words than this version asks the judge in"
    for snapshot, epoch in wanted.judge_epochs.items():
        if evidence.epochs.get(snapshot, 0) != epoch and snapshot not in wanted.epochs:
            yield f"was judged before {snapshot}, the judge, was seen to change"


def _thin(suite: SuiteEvidence, declared: Declared, policy: Policy) -> Iterator[str]:
    if not suite.scores:
        yield "has no scores"
        return
    if suite.repeats < declared.asked:
        yield f"asked each item {suite.repeats} times, and {declared.asked} are wanted"
    answers = 2 * suite.repeats * len(suite.scores)
    missing = max(suite.unscored, answers - sum(len(s.candidate) + len(s.incumbent) for s in suite.scores))
    if missing > policy.unscored * answers:
        yield f"has {missing} of {answers} answers without a score, over the limit of {policy.unscored:.1%}"
