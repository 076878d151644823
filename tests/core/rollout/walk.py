"""A small rollout, and short ways to say what happens to it: shared by the tests of the state machine."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.contract.alias import AliasState, Lane, Stakes
from gateway.core.contract.rollout import (
    Action,
    Facts,
    Finding,
    GateFacts,
    Guardrail,
    Phase,
    Plan,
    Rollout,
    ShadowFacts,
    Stage,
    Tally,
    Verdict,
    Word,
)
from gateway.core.rollout.machine import begin, turn

HOUR = 3_600_000
LOW, STANDARD, HIGH = Stakes.LOW, Stakes.STANDARD, Stakes.HIGH
GO = GateFacts("GO", ("e1",))

PLAN = Plan(
    stages=(
        Stage("segment:internal", 1000, HOUR, 10),
        Stage("segment:internal", 5000, HOUR, 10),
        Stage("*", 100, HOUR, 10),
        Stage("*", 2500, HOUR, 20, approve=True),
    ),
    promoting=Stage("*", 9500, 2 * HOUR, 30),
    guardrails=(
        Guardrail("error"),
        Guardrail("refusal", Action.FREEZE),
        Guardrail("steps", Action.OBSERVE),
    ),
    trios=5,
)
STATE = AliasState("support", 3, {"*": Lane("rel_old", ("rel_older",)), "tenant:vip": Lane("rel_vip")})


def draft(plan: Plan = PLAN, **members: Any) -> Rollout:
    """A draft that began at 0."""
    made = begin(STATE, plan, "rel_new", identifier="00112233aabbccdd", now_ms=0, actor="alice")
    return msgspec.structs.replace(made, **members)


def at(phase: Phase, plan: Plan = PLAN, **members: Any) -> Rollout:
    """The rollout in a phase, at a stage that fits it; frozen from canary by a signal."""
    stage = {
        Phase.CANARY: 0,
        Phase.AWAITING_APPROVAL: 2,
        Phase.FROZEN: 1,
        Phase.PROMOTING: len(plan.stages),
        Phase.COMPLETED: len(plan.stages),
        Phase.ROLLED_BACK: 1,
        Phase.EXPIRED: 1,
    }.get(phase, -1)
    frozen = {"frozen_from": Phase.CANARY, "causes": ("signal:refusal",)} if phase is Phase.FROZEN else {}
    return draft(plan, **{"phase": phase, "at": stage, **frozen, **members})


def say(rollout: Rollout, word: Word, stakes: Stakes = STANDARD, **options: Any) -> Rollout:
    """One word, with a name and a reason."""
    return turn(rollout, word, **{"now_ms": 1, "stakes": stakes, "actor": "alice", "reason": "because", **options})


def finding(metric: str, verdict: Verdict = Verdict.PASS, action: Action = Action.ROLLBACK) -> Finding:
    """A finding with a verdict; its numbers do not matter to the judge."""
    return Finding(metric, action, verdict, 1.0, 20.0, 0, 100, 0, 100, 1.0)


def findings(error: Verdict = Verdict.PASS, refusal: Verdict = Verdict.PASS) -> tuple[Finding, ...]:
    """What the metrics of PLAN say."""
    return (finding("error", error), finding("refusal", refusal, Action.FREEZE))


def ready(rollout: Rollout, **members: Any) -> Facts:
    """Facts under which the rollout goes on: the stage baked and seen, metrics pass, the gate is GO."""
    plan = rollout.plan
    units = {f"{s.lane} canary {s.weight}": s.runs for s in plan.stages}
    units |= {f"{lane} canary {plan.promoting.weight}": plan.promoting.runs for lane in rollout.lanes}
    now = members.get("now_ms", rollout.since_ms + 3 * HOUR)
    facts = Facts(
        now,
        tally=Tally(units=units, newest_ms=now),
        findings=findings(),
        shadow=ShadowFacts(plan.trios, 20, 0, "r1"),
        gate=GO,
    )
    return msgspec.structs.replace(facts, **members)
