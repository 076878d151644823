"""From evidence to the gate's word: every declared suite must have passed, on evidence that is fresh and of these releases.

Rule of the file: pure, and nothing is green by absence. A suite that has no evidence, evidence that is stale or evidence that
cannot say makes the whole INSUFFICIENT, which neither promotes nor aborts; a suite that failed makes it NO-GO. A GO needs
every suite that blocks to pass, so each is tested at the whole's own level (intersection-union test).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.core.contract.evidence import (
    Evidence,
    GateReport,
    MetricReport,
    Origin,
    SuiteEvidence,
    Word,
    evidence_digest,
)
from gateway.core.gate.paired import compare
from gateway.core.gate.policy import Declared, Policy
from gateway.core.gate.stale import Wanted, name_of, reasons

Found = tuple[Evidence, SuiteEvidence]


def judge(evidence: Sequence[Evidence], policy: Policy, wanted: Wanted) -> GateReport:
    """The verdict on a candidate in place of an incumbent, from any evidence of the alias, in any order.

    Of each suite the newest evidence that is fresh counts, alone, and an import only where no run through the gateway is:
    pieces are never added up. Without a declared suite that blocks the verdict is INSUFFICIENT.
    """
    metrics: list[MetricReport] = []
    used: dict[str, Evidence] = {}
    missing: list[str] = []
    stale: list[str] = []
    words: list[Word] = []
    for declared in policy.suites:
        fresh, why = _choose(evidence, declared, policy, wanted)
        if fresh is None:
            (stale if why else missing).append(why or declared.suite)
            words += [Word.INSUFFICIENT] if declared.blocks else []
            continue
        metric = compare(fresh[1], declared, policy)
        metrics.append(metric)
        used[evidence_digest(fresh[0])] = fresh[0]
        words += [metric.verdict] if declared.blocks else []
    return GateReport(
        alias=wanted.alias,
        candidate=wanted.candidate,
        incumbent=wanted.incumbent,
        verdict=_together(words),
        metrics=tuple(metrics),
        evidence=tuple(used),
        missing=tuple(missing),
        stale=tuple(stale),
        origin=_origin(used.values()),
        why=_why(policy, metrics, missing, stale),
    )


def _together(words: Sequence[Word]) -> Word:
    if Word.NO_GO in words:
        return Word.NO_GO
    return Word.GO if words and all(word is Word.GO for word in words) else Word.INSUFFICIENT


def _why(
    policy: Policy, metrics: Sequence[MetricReport], missing: Sequence[str], stale: Sequence[str]
) -> tuple[str, ...]:
    """What blocks, what failed before what is missing."""
    blocking = {declared.suite for declared in policy.suites if declared.blocks}
    if not blocking:
        return ("no suite is declared",)
    failed = sorted(
        (each for each in metrics if each.verdict is not Word.GO), key=lambda each: each.verdict != Word.NO_GO
    )
    return (
        *(f"{each.suite} is {each.verdict.value}: {each.why}" for each in failed if each.suite in blocking),
        *(each for each in stale if each.partition(": evidence ")[0] in blocking),
        *(f"{suite}: there is no evidence" for suite in missing if suite in blocking),
    )


def _origin(used: Iterable[Evidence]) -> Origin | None:
    origins = {each.origin for each in used}
    if not origins:
        return None
    return Origin.IMPORTED if Origin.IMPORTED in origins else Origin.GATEWAY


def _rank(evidence: Evidence) -> tuple[bool, int, str]:
    """Runs through the gateway before imports, which therefore never change what such a run said; then newer before older."""
    return evidence.origin is Origin.GATEWAY, evidence.ended_ms, evidence_digest(evidence)


def _choose(
    evidence: Sequence[Evidence], declared: Declared, policy: Policy, wanted: Wanted
) -> tuple[Found | None, str]:
    """The newest fresh evidence of a suite; else why the nearest one does not count, nothing where there is none."""
    related = [
        (each, suite)
        for each in evidence
        if each.alias == wanted.alias
        for suite in each.suites
        if name_of(suite.suite) == name_of(declared.suite)
    ]
    related.sort(key=lambda found: _rank(found[0]), reverse=True)
    others: list[tuple[bool, int, str]] = []
    for each, suite in related:
        why = list(reasons(each, suite, declared, policy, wanted))
        if not why:
            return (each, suite), ""
        strange = (each.candidate, each.incumbent) != (wanted.candidate, wanted.incumbent)
        told = f"{declared.suite}: evidence {evidence_digest(each)[:12]} {' and '.join(why)}"
        others.append((strange, len(why), told))
    return None, min(others, key=lambda other: other[:2])[2] if others else ""
