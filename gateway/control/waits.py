"""What a rollout waits for, in words, with the command that helps. Pure.

Rule of the file: who reads it needs no documentation: each line says what is missing, how much of it, and what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from gateway.core.contract.alias import Stakes
from gateway.core.contract.rolling import Wait
from gateway.core.contract.rollout import TERMINAL, Action, Facts, Finding, Phase, Rollout, Verdict, Word
from gateway.core.rollout import judge, machine
from gateway.core.rollout.table import cause, sentence
from gateway.settings.shadows import WHOLE


def waits(alias: str, rollout: Rollout, facts: Facts | None, stakes: Stakes) -> tuple[Wait, ...]:
    """Everything that stands between a rollout and its next step; for one that has ended, what may follow."""
    if rollout.phase in TERMINAL:
        return tuple(_ended(alias, rollout))
    return tuple(_BY_PHASE[rollout.phase](alias, rollout, facts, stakes))


def lasting(milliseconds: int) -> str:
    """A duration in its two largest units."""
    seconds = max(milliseconds, 0) // 1000
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def _draft(alias: str, rollout: Rollout, facts: Facts | None, stakes: Stakes) -> Iterator[Wait]:
    del rollout, facts, stakes
    yield Wait("it has not been started", f"trivet rollout start -f FILE  # for {alias}")


def _shadowing(alias: str, rollout: Rollout, facts: Facts | None, stakes: Stakes) -> Iterator[Wait]:
    seen = facts.shadow if facts is not None else None
    have, pairs = (seen.trios, seen.pairs) if seen is not None else (0, 0)
    candidate = rollout.candidate
    yield Wait(
        f"{have} of {rollout.plan.trios} requests compared three ways (live, candidate, live again)",
        f"trivet shadow report {alias} --candidate {candidate}",
    )
    if not pairs:
        yield Wait(
            "no pair came yet: is a shadow worker running, and does the alias have traffic?", "trivet shadow status"
        )
    elif seen is not None and seen.failures * WHOLE > rollout.plan.shadow_failures * pairs:
        tolerated = rollout.plan.shadow_failures * 100 / WHOLE
        yield Wait(
            f"{seen.failures} of {pairs} calls of the candidate failed, and {tolerated:g} % are tolerated: it goes on until the "
            "share comes down, or is surely above that"
        )
    elif not have:
        yield Wait("pairs come without a second live answer: is `secondary` of the shadow 0?", "trivet shadow status")
    if stakes is not Stakes.HIGH:
        yield Wait("or go on without", f"trivet rollout skip {alias} --reason ...")


def _gated(alias: str, rollout: Rollout, facts: Facts | None, stakes: Stakes) -> Iterator[Wait]:
    gate = facts.gate if facts is not None else None
    verdict = gate.verdict if gate is not None else "MISSING"
    run = f"trivet gate run {alias} --release {rollout.candidate}"
    if verdict == "MISSING":
        yield Wait("a GO of the gate: there is no fresh evidence of these two releases", run)
    elif verdict != "GO":
        yield Wait(f"a GO of the gate: it says {verdict}", run)
    for why in gate.why if gate is not None else ():
        yield Wait(f"gate: {why}", f"trivet gate check {alias} --release {rollout.candidate}")
    if verdict != "GO" and stakes is not Stakes.HIGH:
        yield Wait("or a person goes on without a GO", f"trivet rollout override {alias} --name NAME --reason ...")


def _exposed(alias: str, rollout: Rollout, facts: Facts | None, stakes: Stakes) -> Iterator[Wait]:
    del alias, stakes
    stage = machine.stage(rollout)
    if stage is None or facts is None:
        return
    left = rollout.since_ms + stage.bake_ms - facts.now_ms
    if left > 0:
        yield Wait(f"bake time: {lasting(left)} left of {lasting(stage.bake_ms)}")
    seen = judge.units(rollout, facts)
    if seen < stage.runs:
        yield Wait(f"runs on the candidate at {stage.weight / 100:g} % in {stage.lane}: {seen} of {stage.runs}")
    for finding in facts.findings:
        if finding.action is Action.OBSERVE:
            continue
        if finding.verdict is Verdict.INCONCLUSIVE:
            yield Wait(f"{finding.metric}: {_open(rollout, finding)}")
        elif finding.verdict is Verdict.NO_DATA:
            yield Wait(f"{finding.metric}: nothing was observed")
    if facts.gate.verdict != "GO" and not rollout.override:
        yield Wait(f"the gate says {facts.gate.verdict}")


def _open(rollout: Rollout, finding: Finding) -> str:
    """Why a metric is inconclusive: too much speaks for a regression, or a proof that the plan asks for is missing."""
    if finding.e_value**2 >= finding.threshold:
        return f"neither passes nor fails yet (evidence {finding.e_value:.3g} of {finding.threshold:.3g})"
    asked = next((g.noninferior for g in rollout.plan.guardrails if g.metric == finding.metric), None)
    return (
        f"no proof yet that its rate is below {asked or 0:g} times the control's "
        f"(evidence {finding.noninferior_e:.3g} of {1 / rollout.plan.alpha:.3g})"
    )


def _approval(alias: str, rollout: Rollout, facts: Facts | None, stakes: Stakes) -> Iterator[Wait]:
    del stakes
    left = rollout.since_ms + rollout.plan.approval_ms - facts.now_ms if facts is not None else 0
    until = f"; it expires in {lasting(left)}" if left > 0 else ""
    yield Wait(f"a person's approval{until}", f"trivet rollout approve {alias}")


def _frozen(alias: str, rollout: Rollout, facts: Facts | None, stakes: Stakes) -> Iterator[Wait]:
    del facts
    for code in rollout.causes:
        found = cause(code)
        clears = " (goes on by itself when that is over)" if found.clears else ""
        yield Wait(f"frozen: {sentence(code)}{clears}", _LIFTS.get(found.lifted_by, "").format(alias=alias))
    if any(cause(code).lifted_by is Word.ACCEPT for code in rollout.causes) and stakes is Stakes.HIGH:
        yield Wait("at stakes `high` only data answers what the data left open")
    yield Wait("or end it", f"trivet rollout abort {alias} --reason ...")


def _ended(alias: str, rollout: Rollout) -> Iterator[Wait]:
    if rollout.phase is Phase.COMPLETED:
        yield Wait("the candidate is stable", f"trivet rollback {alias} --reason ...  # goes back")
    elif not rollout.retried:
        why = "; ".join(sentence(code) for code in rollout.causes) or rollout.reason
        yield Wait(
            f"the candidate is barred ({why or rollout.phase.value})",
            f"trivet rollout retry {alias} --reason ...  # lifts the bar",
        )


_LIFTS: Mapping[Word, str] = MappingProxyType(
    {
        Word.RESUME: "trivet rollout resume {alias} --reason ...",
        Word.ACCEPT: "trivet rollout resume {alias} --accept-inconclusive --reason ...",
        Word.OVERRIDE: "trivet rollout override {alias} --name NAME --reason ...",
    }
)
_BY_PHASE: Mapping[Phase, Callable[[str, Rollout, Facts | None, Stakes], Iterator[Wait]]] = MappingProxyType(
    {
        Phase.DRAFT: _draft,
        Phase.SHADOWING: _shadowing,
        Phase.GATED: _gated,
        Phase.CANARY: _exposed,
        Phase.PROMOTING: _exposed,
        Phase.AWAITING_APPROVAL: _approval,
        Phase.FROZEN: _frozen,
    }
)
