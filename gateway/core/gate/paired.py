"""One suite's numbers to its verdict: how much worse the candidate is on the same items, with what is not known counted against it.

Rule of the file: three outcomes, never two. A suite passes when the data rule out a drop as large as the margin, fails when
they show a larger one, and anything else is INSUFFICIENT. An answer without a score counts as failed where that keeps a
candidate from passing, and not at all where it would make one fail.

Tests: yes-or-no items asked once, Tango's score test (Statistics in Medicine 17, 1998). Repeated or graded ones, the mean of
differences per item with a clustered standard error (Miller, arXiv 2411.00640) from 100 items on, below that a betting bound
(Waudby-Smith and Ramdas, arXiv 2010.09686). Ceilings, Clopper and Pearson's bound. Must-pass items, `core.gate.regression`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, fsum
from statistics import NormalDist

from gateway.core.contract.evidence import MetricReport, Score, SuiteEvidence, Word
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate import regression
from gateway.core.gate.bounds import Bounds, bounds_of_means, share_bounds, source_of
from gateway.core.gate.policy import Declared, Policy
from gateway.core.stats.tango import interval, z_score

FLIPS = 50
"""Item ids that a report lists at most."""
PASSES = regression.PASSES


@dataclass(frozen=True, slots=True)
class Item:
    """One item's means. `worst` is the candidate's with every answer that has no score counted as failed."""

    id: str
    group: str
    candidate: float
    incumbent: float
    worst: float
    known: bool
    """The candidate has an answer with a score."""

    @property
    def drop(self) -> float:
        """How much worse the candidate is, as far as it was scored."""
        return self.incumbent - self.candidate


@dataclass(frozen=True, slots=True)
class Outcome:
    """A test's word: the verdict, why, how it was reached, and the drop with its upper bound."""

    verdict: Word
    why: str
    method: str
    drop: float
    high: float


def compare(suite: SuiteEvidence, declared: Declared, policy: Policy) -> MetricReport:
    """The verdict on one suite under what was declared of it. Order of the items does not matter."""
    scores = sorted(suite.scores, key=lambda score: score.item)
    items = [item for item in (_item(score, suite.repeats) for score in scores) if item is not None]
    told = [item for item in items if item.known]
    if not told:
        return _report(
            suite, declared, items, Outcome(Word.INSUFFICIENT, "no item was scored for both", "none", 0.0, 1.0)
        )
    if declared.kind is SuiteKind.REGRESSION:
        outcome = _regressions(suite, scores, items, policy)
    elif suite.repeats == 1 and _binary(scores) and not _grouped(items):
        outcome = _flips(items, told, declared, policy)
    else:
        outcome = _means(items, told, declared, policy)
    if declared.ceiling is None:
        return _report(suite, declared, items, outcome)
    bound = _ceiling(items, told, policy)
    return _report(suite, declared, items, _under(outcome, bound, declared.ceiling), bound.high)


def _item(score: Score, repeats: int) -> Item | None:
    """The item, or None where the incumbent has no score to compare with."""
    if not score.incumbent:
        return None
    have = fsum(score.candidate)
    return Item(
        id=score.item,
        group=score.group,
        candidate=have / len(score.candidate) if score.candidate else 0.0,
        incumbent=fsum(score.incumbent) / len(score.incumbent),
        worst=have / max(repeats, len(score.candidate)),
        known=bool(score.candidate),
    )


def _binary(scores: Sequence[Score]) -> bool:
    return all(value in (0.0, 1.0) for score in scores for value in (*score.candidate, *score.incumbent))


def _grouped(items: Sequence[Item]) -> bool:
    """Whether any two items share a source; then they are not independent."""
    groups = [item.group for item in items if item.group]
    return len(set(groups)) < len(groups)


def _flips(items: Sequence[Item], told: Sequence[Item], declared: Declared, policy: Policy) -> Outcome:
    margin, z = declared.tolerated, NormalDist().inv_cdf(1 - policy.alpha)
    worst_b = sum(item.incumbent > item.worst for item in items)
    worst_c = sum(item.worst > item.incumbent for item in items)
    b = sum(item.incumbent > item.candidate for item in told)
    c = sum(item.candidate > item.incumbent for item in told)
    low = interval(b, c, len(told), 1 - 2 * policy.alpha).low
    high = interval(worst_b, worst_c, len(items), 1 - 2 * policy.alpha).high
    passes = z_score(worst_b, worst_c, len(items), margin) <= -z
    fails = z_score(b, c, len(told), margin) >= z
    return _outcome("tango", (passes, fails), Bounds((b - c) / len(told), low, high), margin)


def _means(items: Sequence[Item], told: Sequence[Item], declared: Declared, policy: Policy) -> Outcome:
    margin = declared.tolerated
    plain = bounds_of_means([(item.id, item.group, item.drop) for item in told], margin, policy.alpha)
    worst = bounds_of_means(
        [(item.id, item.group, item.incumbent - item.worst) for item in items], margin, policy.alpha
    )
    seen = Bounds(plain.estimate, plain.low, worst.high, plain.method)
    return _outcome(seen.method, (seen.high < margin, seen.low > margin), seen, margin)


def _outcome(method: str, found: tuple[bool, bool], seen: Bounds, margin: float) -> Outcome:
    passes, fails = found
    drop = f"drop {seen.estimate * 100:+.1f} pp"
    if fails:
        why = f"{drop}, surely above {seen.low * 100:+.1f} pp; {margin * 100:g} pp are tolerated"
        return Outcome(Word.NO_GO, why, method, seen.estimate, seen.high)
    if passes:
        why = f"{drop}, surely below {seen.high * 100:+.1f} pp; {margin * 100:g} pp are tolerated"
        return Outcome(Word.GO, why, method, seen.estimate, seen.high)
    why = (
        f"{drop} may be as much as {seen.high * 100:+.1f} pp; {margin * 100:g} pp are tolerated: more items would tell"
    )
    return Outcome(Word.INSUFFICIENT, why, method, seen.estimate, seen.high)


def _regressions(suite: SuiteEvidence, scores: Sequence[Score], items: Sequence[Item], policy: Policy) -> Outcome:
    groups = {score.item: score.group for score in scores if score.group}
    plain = regression.confirmed(((s.item, s.candidate, s.incumbent) for s in scores), groups)
    padded = ((s.item, (*s.candidate, *[0.0] * (suite.repeats - len(s.candidate))), s.incumbent) for s in scores)
    worst = regression.confirmed(padded, groups)
    drop = fsum(item.incumbent - item.candidate for item in items) / len(items)
    high = len(worst.items) / len(items)
    method = "confirmed_regressions"
    if suite.repeats < regression.LEAST_REPEATS:
        why = f"each item was asked {suite.repeats} times; a regression is confirmed by {regression.LEAST_REPEATS}"
        return Outcome(Word.INSUFFICIENT, why, method, drop, high)
    named = ", ".join(worst.items[:5]) + (" …" if len(worst.items) > 5 else "")
    if len(worst.items) <= policy.allowance:
        why = f"{len(worst.items)} confirmed regressions, {policy.allowance} are tolerated"
        return Outcome(Word.GO, why, method, drop, high)
    if len(plain.items) > policy.allowance and plain.chance <= policy.alpha:
        why = f"{len(plain.items)} confirmed regressions ({named}), {policy.allowance} are tolerated"
        return Outcome(Word.NO_GO, why, method, drop, high)
    why = (
        f"{len(worst.items)} items look regressed ({named}), and items as flaky as these would do so by chance "
        f"in {plain.chance:.0%} of runs: run it again, or with more repeats"
    )
    return Outcome(Word.INSUFFICIENT, why, method, drop, high)


def _ceiling(items: Sequence[Item], told: Sequence[Item], policy: Policy) -> Bounds:
    """Bounds of the share of items that the candidate fails. What shares a source is one trial, since it may fail together.
    Failures of repeats, and of a source's items, are averaged first: such a share varies less than a yes or no of the same
    mean, so rounding the sum outwards keeps the bound."""
    plain, trials, scale = _trials([(item, 1 - item.candidate) for item in told])
    low = share_bounds(min(floor(plain + 1e-9), trials), trials, policy.alpha).low * scale
    worst, trials, scale = _trials([(item, 1 - item.worst) for item in items])
    high = share_bounds(min(ceil(worst - 1e-9), trials), trials, policy.alpha).high * scale
    return Bounds(fsum(1 - item.candidate for item in told) / len(told), low, min(high, 1.0), "clopper_pearson")


def _trials(failed: Sequence[tuple[Item, float]]) -> tuple[float, int, float]:
    """Sum and number of independent trials, one per source: its items' failures over the size of the largest; and what makes
    their share that of the items."""
    sums: dict[str, float] = {}
    for item, share in failed:
        source = source_of(item.id, item.group)
        sums[source] = sums.get(source, 0.0) + share
    largest = max(Counter(source_of(item.id, item.group) for item, _ in failed).values())
    return fsum(sums.values()) / largest, len(sums), len(sums) * largest / len(failed)


def _under(outcome: Outcome, bound: Bounds, ceiling: float) -> Outcome:
    """Both must hold: the drop within its margin, and failures below the ceiling."""
    failures = f"failures {bound.estimate:.1%}"
    if bound.low > ceiling:
        word, why = Word.NO_GO, f"{failures}, surely above the ceiling of {ceiling:.1%}"
    elif bound.high <= ceiling:
        word, why = Word.GO, f"{failures}, surely below the ceiling of {ceiling:.1%}"
    else:
        word, why = Word.INSUFFICIENT, f"{failures} may be as many as {bound.high:.1%}; the ceiling is {ceiling:.1%}"
    order = (Word.NO_GO, Word.INSUFFICIENT, Word.GO)
    verdict = min(outcome.verdict, word, key=order.index)
    return Outcome(verdict, f"{outcome.why}; {why}", outcome.method, outcome.drop, outcome.high)


def _report(
    suite: SuiteEvidence, declared: Declared, items: Sequence[Item], outcome: Outcome, bound: float | None = None
) -> MetricReport:
    count = max(len(items), 1)
    flips = [item.id for item in items if item.incumbent >= PASSES > item.worst]
    binary = _binary(suite.scores) and suite.repeats == 1
    return MetricReport(
        suite=suite.suite,
        kind=declared.kind,
        verdict=outcome.verdict,
        why=outcome.why,
        items=len(items),
        candidate=fsum(item.worst for item in items) / count,
        incumbent=fsum(item.incumbent for item in items) / count,
        only_candidate=sum(item.worst > item.incumbent for item in items) if binary else 0,
        only_incumbent=sum(item.incumbent > item.worst for item in items) if binary else 0,
        drop=outcome.drop,
        drop_high=outcome.high,
        margin=declared.tolerated,
        method=outcome.method,
        ceiling=declared.ceiling,
        ceiling_bound=bound,
        flips=tuple(flips[:FLIPS]),
    )
