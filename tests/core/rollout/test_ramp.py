"""Whole rollouts over simulated traffic: counts, findings, judge and machine together, through every stage of the default plan."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from gateway.core.binding.decide import choose
from gateway.core.contract.alias import AliasState, Arm
from gateway.core.contract.rollout import Facts, Phase, Plan, Rollout, Tally, Word
from gateway.core.rollout import guardrails
from gateway.core.rollout.judge import due
from gateway.core.rollout.machine import begin, state_after, turn
from gateway.core.rollout.manifest import plan_of, read
from tests.core.rollout.walk import GO, HOUR, STANDARD, STATE

ROUNDS = 600
PER_ROUND = 400


def plan() -> Plan:
    """The default steps, judged by errors and refusals."""
    whole = plan_of(read({"kind": "Rollout", "alias": "support", "release": "rel_new", "skip_shadow": "simulated"}))
    kept = tuple(each for each in whole.guardrails if each.metric in {"error", "refusal"})
    return msgspec.structs.replace(whole, guardrails=kept, deadline_ms=60 * 24 * HOUR)


def rolled(seed: int, worse: float) -> tuple[Rollout, AliasState, int]:
    """A rollout of a candidate that fails `worse` times as often, to its end or for ROUNDS hours; also units that got the candidate.

    The base rate moves from 5 % to 20 % during the rollout: whatever compares with former times is misled.
    """
    dice = random.Random(seed)
    now, exposed = 0, 0
    begun = begin(STATE, plan(), "rel_new", identifier=f"{seed:016x}", now_ms=0)
    rollout = turn(begun, Word.SKIP_SHADOW, now_ms=0, stakes=STANDARD, reason="simulated")
    state = state_after(STATE, rollout, 3)
    units: Counter[str] = Counter()
    bad: dict[str, Counter[str]] = {"error": Counter(), "refusal": Counter()}
    for hour in range(ROUNDS):
        now = hour * HOUR
        newest = 0
        for number in range(PER_ROUND):
            choice = choose(state, "acme", "", f"{hour}/{number}")
            canary = choice.arm is Arm.CANARY
            exposed += canary
            if choice.allocation:
                newest = now
                key = guardrails.key_of(choice.lane, choice.arm, choice.allocation)
                units[key] += 1
                base = 0.05 + 0.15 * min(1.0, hour / 100)
                for metric, times in (("error", worse), ("refusal", 1.0)):
                    bad[metric][key] += dice.random() < min(1.0, base * (times if canary else 1.0))
        tally = Tally(
            dict(units), {name: dict(found) for name, found in bad.items()}, newest_ms=newest, first=dict(units)
        )
        facts = Facts(
            now,
            tally=tally,
            findings=guardrails.findings(rollout, tally),
            health=guardrails.health(rollout, tally),
            gate=GO,
        )
        word = due(rollout, facts, STANDARD)
        if word is not None:
            rollout = turn(rollout, word.word, now_ms=now, stakes=STANDARD, causes=word.causes)
            state = state_after(state, rollout, 3)
        if rollout.ended:
            break
    return rollout, state, exposed


@pytest.mark.parametrize("seed", range(3))
def test_a_harmless_candidate_becomes_stable(seed: int) -> None:
    """No worse, under a base rate that quadruples during the ramp: every stage passes and the pointer moves."""
    rollout, state, _ = rolled(seed, worse=1.0)
    assert rollout.phase is Phase.COMPLETED
    assert state.lanes["*"].release == "rel_new"
    assert state.split is None


@pytest.mark.parametrize("seed", range(3))
def test_a_harmful_candidate_is_taken_back(seed: int) -> None:
    """Failing three times as often: back by itself, before a quarter of the alias was on it, and the old release was stable throughout."""
    rollout, state, exposed = rolled(seed, worse=3.0)
    assert (rollout.phase, rollout.causes) == (Phase.ROLLED_BACK, ("guardrail:error",))
    assert state.lanes == STATE.lanes
    assert "rel_new" in state.barred
    assert rollout.at <= 2
    assert exposed < 600
