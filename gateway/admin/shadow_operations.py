"""The operations of the shadow and of erasing, as rows of the one table (`admin.operations`).

Rule of the file: no logic, as there. What anybody said is told with the right `content` only; erasing needs it too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.admin import asks
from gateway.admin.visit import Visit
from gateway.control import erase, rediff, replay, shadow_reads, shadows
from gateway.core.contract import shadowing
from gateway.shadow.again import again


async def _status(visit: Visit, ask: asks.ShadowList) -> shadowing.ShadowStatus:
    return await shadows.status(visit.desk, ask.alias)


async def _plan(visit: Visit, ask: asks.ShadowPlanAsk) -> shadowing.ShadowPlan:
    return await shadows.plan(visit.desk, _order(ask))


async def _start(visit: Visit, ask: asks.ShadowStart) -> shadowing.ShadowMoved:
    return await shadows.start(visit.desk, _order(ask), ask.reason, acknowledged=ask.acknowledged)


async def _stop(visit: Visit, ask: asks.ShadowStop) -> shadowing.ShadowMoved:
    return await shadows.stop(visit.desk, ask.alias, ask.candidate, ask.reason)


async def _report(visit: Visit, ask: asks.ShadowOne) -> shadowing.ShadowReport:
    return await shadow_reads.report(visit.desk, ask.alias, ask.candidate, ask.since_ms)


async def _pairs(visit: Visit, ask: asks.PairList) -> list[shadowing.PairRow]:
    return await shadow_reads.listed(visit.desk, ask.alias, ask.candidate, sort=ask.sort, limit=ask.limit)


async def _lines(visit: Visit, ask: asks.LineList) -> shadowing.LinePage:
    order = shadow_reads.PageOrder(ask.alias, ask.candidate, ask.since_ms, ask.before, ask.limit)
    found = await shadow_reads.page(visit.desk, order)
    if visit.may("content"):
        return found
    return msgspec.structs.replace(found, lines=tuple(shadow_reads.without_values(line) for line in found.lines))


async def _show(visit: Visit, ask: asks.PairOne) -> shadowing.PairDetail:
    may = visit.may("content")
    found = await shadow_reads.show(visit.desk, ask.pair, alias=ask.alias, tenant=ask.tenant, contents=may)
    return found if may else msgspec.structs.replace(found, line=shadow_reads.without_values(found.line))


async def _rediff(visit: Visit, ask: asks.RediffAsk) -> shadowing.Rediffed:
    return await rediff.rediff(visit.desk, ask.alias, again, ask.since_ms, before=ask.before, limit=ask.limit)


async def _replay(visit: Visit, ask: asks.ReplayAsk) -> shadowing.Replayed:
    order = replay.Order(
        alias=ask.alias,
        candidate=ask.candidate,
        since_ms=ask.since_ms,
        limit=ask.limit,
        budget=ask.budget_micro,
        secondary=ask.secondary,
        look=ask.look,
    )
    return await replay.replay(visit.desk, order)


async def _erase(visit: Visit, ask: asks.TenantErase) -> shadowing.Erased:
    visit.actor.need("content")
    return await erase.erase(visit.desk, ask.tenant, ask.reason, run=ask.run, cursor=ask.cursor)


def _order(ask: asks.ShadowPlanAsk | asks.ShadowStart) -> shadows.Order:
    return shadows.Order(ask.alias, ask.candidate, ask.rate, ask.secondary, ask.until_ms)


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function and summary of each."""
    r: Any = shadowing
    return (
        ("shadow.status", "GET", "/shadows", "read", asks.ShadowList, r.ShadowStatus, _status, "Candidates that run alongside, the queue, and what was spent."),
        ("shadow.plan", "GET", "/aliases/{alias}/shadows/plan", "read", asks.ShadowPlanAsk, r.ShadowPlan, _plan, "What a shadow would cost, and what somebody has to answer for."),
        ("shadow.start", "POST", "/aliases/{alias}/shadows/start", "rollout", asks.ShadowStart, r.ShadowMoved, _start, "Run a candidate alongside, or change how it runs."),
        ("shadow.stop", "POST", "/aliases/{alias}/shadows/stop", "rollout", asks.ShadowStop, r.ShadowMoved, _stop, "End a shadow, or all of an alias."),
        ("shadow.report", "GET", "/aliases/{alias}/shadows/report", "read", asks.ShadowOne, r.ShadowReport, _report, "What a candidate does otherwise, beyond the noise of the live release."),
        ("shadow.pairs", "GET", "/aliases/{alias}/pairs", "read", asks.PairList, list[r.PairRow], _pairs, "Pairs, the gravest or the newest first."),
        ("shadow.lines", "GET", "/aliases/{alias}/lines", "read", asks.LineList, r.LinePage, _lines, "Whole lines of pairs, a page at a time; their values with the right content."),
        ("shadow.show", "GET", "/pairs/{pair}", "read", asks.PairOne, r.PairDetail, _show, "One pair; both answers with the right content."),
        ("shadow.rediff", "POST", "/aliases/{alias}/rediff", "rollout", asks.RediffAsk, r.Rediffed, _rediff, "Compare stored pairs again with the rules of this version."),
        ("shadow.replay", "POST", "/aliases/{alias}/replay", "rollout", asks.ReplayAsk, r.Replayed, _replay, "Hand stored requests to the workers for a candidate, and tell how far that is."),
        ("tenant.erase", "POST", "/tenants/{tenant}/erase", "rollout", asks.TenantErase, r.Erased, _erase, "Take away everything that is stored of a tenant or a run; the right content is needed too."),
    )  # fmt: skip
