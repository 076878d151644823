"""What happens to a rollout next by itself: one word, or none, from the facts of one moment. Pure.

Rule of the file: harm is looked for first and in every phase that is not the end; then what freezes; then what has cleared; then
time that ran out; and only then progress. No absence of data and no timer alone leads to more exposure, and nothing that could
not be read counts as fine.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.core.contract.alias import Stakes
from gateway.core.contract.rollout import Action, Facts, Finding, Phase, Rollout, Verdict, Word
from gateway.core.rollout.machine import phase_of, stage
from gateway.core.rollout.table import cause
from gateway.core.stats.beta import incomplete_beta

ERRORS = 5
"""Failed readings in a row that freeze; argo-rollouts' `consecutiveErrorLimit` is 4, which fails at the fifth."""
CHANCE = 0.001
"""A shadow has failed when so many failed calls, or more, come about with this probability at most at the tolerated share, at one
look. Over all looks of 250 to 2,000 pairs that is 1 % of candidates exactly at the tolerated share, none of 800 at two fifths of it."""
NO_EVIDENCE = 1.0
"""An e-value begins here; at or below it the data speaks for no regression."""
_WHOLE = 10_000
_UNDER_WAY = frozenset({Phase.SHADOWING, Phase.GATED, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING})
_WIDENING = frozenset({Phase.CANARY, Phase.PROMOTING})
_WEIGHTED = frozenset({Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING})
_SPEECHLESS = {Verdict.INCONCLUSIVE: "inconclusive", Verdict.NO_DATA: "no_data"}
_OF_METRICS = frozenset({"signal", *_SPEECHLESS.values()})


class Due(msgspec.Struct, frozen=True):
    """The word that is due, and what `machine.turn` is told with it."""

    word: Word
    causes: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    report: str = ""


def due(rollout: Rollout, facts: Facts, stakes: Stakes) -> Due | None:
    """What happens next by itself; None for nothing. The same facts give the same answer, however often they are asked."""
    if rollout.ended:
        return None
    harm = regressions(rollout, facts)
    if harm:
        return Due(Word.REGRESSION, harm)
    shown = freezing(rollout, facts, stakes)
    fresh = tuple(code for code in shown if code not in rollout.causes and code not in rollout.waived)
    if fresh:
        return Due(Word.FREEZE, fresh)
    if rollout.phase is Phase.FROZEN and _cleared(rollout, facts, stakes, shown):
        return Due(Word.CLEARED, rollout.causes)
    late = _late(rollout, facts)
    if late:
        return Due(Word.EXPIRE, (late,))
    return _progress(rollout, facts, stakes)


def regressions(rollout: Rollout, facts: Facts) -> tuple[str, ...]:
    """Causes that roll back: guardrails that regressed, tripwires hit as often as the plan tolerates."""
    found = [f"guardrail:{f.metric}" for f in facts.findings if _fails(f, Action.ROLLBACK)]
    if sum(facts.tally.trips.values()) >= rollout.plan.trips:
        found += [f"tripwires:{name}" for name, hits in sorted(facts.tally.trips.items()) if hits > 0]
    return tuple(found)


def freezing(rollout: Rollout, facts: Facts, stakes: Stakes) -> tuple[str, ...]:
    """Everything that freezes at this moment, by cause, whether or not it was waived."""
    phase = phase_of(rollout)
    if phase not in _UNDER_WAY:
        return ()
    found = [f"signal:{f.metric}" for f in facts.findings if _fails(f, Action.FREEZE)]
    found += [f"tripwire:{name}={hits}" for name, hits in sorted(facts.tally.trips.items()) if hits > 0]
    found += [code for code in (*facts.health, *facts.alarms) if stakes in cause(code).freezes]
    if facts.errors >= ERRORS:
        found.append("analysis_error")
    if phase in _WEIGHTED:
        found += _starved(rollout, facts)
        found += _gate(rollout, facts, stakes, over=stage_over(rollout, facts) or phase is Phase.AWAITING_APPROVAL)
    if phase in _WIDENING and stage_over(rollout, facts):
        found += speechless(rollout, facts)
    return tuple(dict.fromkeys(found))


def units(rollout: Rollout, facts: Facts) -> int:
    """Canary units of the stage that is in force; units of earlier weights do not count for it."""
    current = stage(rollout)
    if current is None:
        return 0
    promoting = rollout.at >= len(rollout.plan.stages)
    lanes = rollout.lanes if promoting else (current.lane,)
    return sum(facts.tally.units.get(f"{lane} canary {current.weight}", 0) for lane in lanes)


def stage_over(rollout: Rollout, facts: Facts) -> bool:
    """Whether the stage has baked and been seen as often as it has to be."""
    current = stage(rollout)
    if current is None or facts.errors:
        return False
    baked = facts.now_ms - rollout.since_ms >= current.bake_ms
    return baked and units(rollout, facts) >= max(current.runs, 1)


def overridden(rollout: Rollout, stakes: Stakes) -> bool:
    """Whether somebody answers for a missing GO. At high nobody can, also where the stakes were raised afterwards."""
    return bool(rollout.override) and stakes is not Stakes.HIGH


def overdue_ms(rollout: Rollout, now_ms: int) -> int:
    """How long ago it should have got on: after its bake, half of the time is over that is left until its end by time. 0 before,
    and once it has ended."""
    if rollout.ended:
        return 0
    current = stage(rollout) if phase_of(rollout) in _WIDENING else None
    bake = current.bake_ms if current is not None else 0
    return max(now_ms - rollout.since_ms - bake - max(_limit(rollout)[1] - bake, 0) // 2, 0)


def _fails(finding: Finding, action: Action) -> bool:
    return finding.verdict is Verdict.FAIL and finding.action is action


def _starved(rollout: Rollout, facts: Facts) -> Iterable[str]:
    if rollout.at >= 0 and not facts.errors:
        last = max(facts.tally.newest_ms, rollout.since_ms)
        if facts.now_ms - last > rollout.plan.grace_ms:
            yield "no_units"


def _gate(rollout: Rollout, facts: Facts, stakes: Stakes, *, over: bool) -> Iterable[str]:
    """A NO-GO counts at once; evidence that no longer says GO counts when it would be needed to go on."""
    if overridden(rollout, stakes) or facts.errors or facts.gate.verdict == "GO":
        return
    if facts.gate.verdict == "NO-GO":
        yield "gate_no_go"
    elif over:
        yield "gate_missing"


def speechless(rollout: Rollout, facts: Facts) -> Iterable[str]:
    """Metrics that say too little at the end of a stage; one that the plan names and nobody reported says nothing."""
    if rollout.at in rollout.accepted:
        return
    verdicts = {finding.metric: finding.verdict for finding in facts.findings}
    for guardrail in rollout.plan.guardrails:
        verdict = verdicts.get(guardrail.metric, Verdict.NO_DATA)
        if guardrail.action is not Action.OBSERVE and verdict in _SPEECHLESS:
            yield f"{_SPEECHLESS[verdict]}:{guardrail.metric}"


def _cleared(rollout: Rollout, facts: Facts, stakes: Stakes, shown: tuple[str, ...]) -> bool:
    """Whether every cause clears by itself and is gone. What a metric showed is gone when no evidence of it is left, not when it
    is silent or a little less: a candidate twice as bad would widen each time its e-value dips."""
    if facts.errors or not all(cause(code).clears for code in rollout.causes):
        return False
    passing = {finding.metric: finding.e_value for finding in facts.findings if finding.verdict is Verdict.PASS}
    for code in rollout.causes:
        word, _, metric = code.partition(":")
        if word in _OF_METRICS:
            if metric not in passing or (word != "no_data" and passing[metric] > NO_EVIDENCE):
                return False
        elif word in {"gate_no_go", "gate_missing"}:
            if facts.gate.verdict != "GO" and not overridden(rollout, stakes):
                return False
        elif code in shown:
            return False
    return True


def _late(rollout: Rollout, facts: Facts) -> str:
    """The cause of an end by time; empty while there is time."""
    word, limit = _limit(rollout)
    return word if facts.now_ms - rollout.since_ms > limit else ""


def _limit(rollout: Rollout) -> tuple[str, int]:
    """How long what it is in may last, and the cause of the end then."""
    waiting = phase_of(rollout) is Phase.AWAITING_APPROVAL
    return ("approval", rollout.plan.approval_ms) if waiting else ("deadline", rollout.plan.deadline_ms)


def _progress(rollout: Rollout, facts: Facts, stakes: Stakes) -> Due | None:
    if facts.errors:
        return None
    if rollout.phase is Phase.SHADOWING:
        return _shadow(rollout, facts)
    if rollout.phase is Phase.GATED:
        word = {"GO": Word.GO, "NO-GO": Word.NO_GO}.get(facts.gate.verdict)
        causes = ("gate_no_go",) if word is Word.NO_GO else ()
        return Due(word, causes, evidence=facts.gate.evidence) if word is not None else None
    if rollout.phase in _WIDENING and stage_over(rollout, facts) and _clean(rollout, facts, stakes):
        return Due(Word.ADVANCE, evidence=facts.gate.evidence if facts.gate.verdict == "GO" else ())
    return None


def _shadow(rollout: Rollout, facts: Facts) -> Due | None:
    """Failed once the share of failed calls is surely above the limit, good once it is not above it and enough was compared.

    In between it goes on: to end at the first share above the limit would end every seventh candidate that fails in 2 % of its
    calls, as its incumbent does, at the default limit of 5 %.
    """
    shadow = facts.shadow
    if shadow is None or not shadow.pairs:
        return None
    limit = rollout.plan.shadow_failures / _WHOLE
    if shadow.failures > limit * shadow.pairs:
        by_chance = incomplete_beta(limit, shadow.failures, shadow.pairs - shadow.failures + 1)
        return Due(Word.SHADOW_FAILED, ("shadow_failed",), report=shadow.report) if by_chance <= CHANCE else None
    return Due(Word.SHADOWED, report=shadow.report) if shadow.trios >= rollout.plan.trios else None


def _clean(rollout: Rollout, facts: Facts, stakes: Stakes) -> bool:
    """Whether nothing stands in the way of more exposure: what was waived or accepted aside, every metric passes, and the gate is GO."""
    return all(code in rollout.waived for code in freezing(rollout, facts, stakes))
