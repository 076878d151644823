"""The operations of a rollout, as rows of the one table (`admin.operations`).

Rule of the file: no logic, as there. What takes runs off a candidate needs the right `rollback`, what puts more on it `rollout`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.admin import rollout_asks as asks
from gateway.admin.visit import Visit
from gateway.control import plans, rollouts
from gateway.core.contract import rolling
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.rollout import Word
from gateway.core.rollout.manifest import Manifest, plan_of, read


async def _plan(visit: Visit, ask: asks.RolloutPlanAsk) -> plans.RolloutPlan:
    try:
        manifest = read(msgspec.json.decode(ask.manifest))
    except msgspec.DecodeError as error:
        raise Fault(Kind.BAD_REQUEST, "manifest_bad", "the manifest is not JSON", param="manifest") from error
    _same(ask.alias, manifest)
    return await plans.planned(visit.desk, ask.alias, manifest.release, plan_of(manifest))


async def _start(visit: Visit, ask: asks.RolloutStart) -> rolling.RolloutMoved:
    manifest = ask.manifest
    _same(ask.alias, manifest)
    order = rollouts.Order(
        alias=ask.alias,
        candidate=manifest.release,
        plan=plan_of(manifest),
        skip_shadow=manifest.skip_shadow.strip(),
        attested=ask.attested,
        supersede=ask.supersede,
        acknowledged=ask.acknowledged,
    )
    return await rollouts.start(visit.desk, order, ask.reason)


async def _status(visit: Visit, ask: asks.RolloutOne) -> rolling.RolloutStatus:
    return await rollouts.status(visit.desk, ask.alias)


async def _resume(visit: Visit, ask: asks.RolloutResume) -> rolling.RolloutMoved:
    word = Word.ACCEPT if ask.accept_inconclusive else Word.RESUME
    return await rollouts.order(visit.desk, ask.alias, word, ask.reason)


async def _override(visit: Visit, ask: asks.RolloutOverride) -> rolling.RolloutMoved:
    return await rollouts.order(visit.desk, ask.alias, Word.OVERRIDE, ask.reason, name=ask.override)


async def _retry(visit: Visit, ask: asks.RolloutRetry) -> rolling.RolloutMoved:
    return await rollouts.retry(visit.desk, ask.alias, ask.reason, candidate=ask.candidate)


def _word(word: Word) -> Callable[[Visit, Any], Awaitable[rolling.RolloutMoved]]:
    """The operation that says this word."""

    async def say(visit: Visit, ask: asks.RolloutWord | asks.RolloutApprove) -> rolling.RolloutMoved:
        return await rollouts.order(visit.desk, ask.alias, word, ask.reason)

    return say


def _same(alias: str, manifest: Manifest) -> None:
    if alias != manifest.alias:
        message = f"alias: the manifest is for {manifest.alias}, the order for {alias}"
        raise Fault(Kind.BAD_REQUEST, "manifest_bad", message, param="alias")


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function and summary of each."""
    moved = rolling.RolloutMoved
    return (
        ("rollout.plan", "GET", "/aliases/{alias}/rollout/plan", "read", asks.RolloutPlanAsk, plans.RolloutPlan, _plan, "Days, runs and the smallest visible regression of each stage of a manifest."),
        ("rollout.start", "POST", "/aliases/{alias}/rollout/start", "rollout", asks.RolloutStart, moved, _start, "Begin a rollout."),
        ("rollout.status", "GET", "/aliases/{alias}/rollout", "read", asks.RolloutOne, rolling.RolloutStatus, _status, "Where a rollout is, what decides, and what it waits for."),
        ("rollout.approve", "POST", "/aliases/{alias}/rollout/approve", "rollout", asks.RolloutApprove, moved, _word(Word.APPROVE), "Let the next stage begin."),
        ("rollout.freeze", "POST", "/aliases/{alias}/rollout/freeze", "rollback", asks.RolloutWord, moved, _word(Word.FREEZE), "Widen no further; weights stay and guardrails stay armed."),
        ("rollout.resume", "POST", "/aliases/{alias}/rollout/resume", "rollout", asks.RolloutResume, moved, _resume, "Go on in spite of what froze it."),
        ("rollout.abort", "POST", "/aliases/{alias}/rollout/abort", "rollback", asks.RolloutWord, moved, _word(Word.ABORT), "End a rollout: weight 0, and its candidate barred."),
        ("rollout.skip", "POST", "/aliases/{alias}/rollout/skip", "rollout", asks.RolloutWord, moved, _word(Word.SKIP_SHADOW), "Go on without the rest of the shadow."),
        ("rollout.override", "POST", "/aliases/{alias}/rollout/override", "rollout", asks.RolloutOverride, moved, _override, "Go on without a GO of the gate, by name; recorded for ever."),
        ("rollout.retry", "POST", "/aliases/{alias}/rollout/retry", "rollout", asks.RolloutRetry, moved, _retry, "Lift the bar of a candidate."),
    )  # fmt: skip
