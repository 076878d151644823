"""Starting and stopping shadows: one pointer write, confirmed by the workers like a promotion.

Rule of the file: what could never become a pair is refused before anything is written, with the line to change; a candidate that
runs already keeps its salt, so that the runs in its shadow stay in it.
"""

from __future__ import annotations

import secrets

import msgspec

from gateway.control.desk import FOLLOW_SECONDS, Desk, checked_reason
from gateway.control.moves import Move, callable_or_fault, finished, now
from gateway.control.shadow_cost import estimate
from gateway.control.shadow_store import results
from gateway.core.contract.alias import AliasState, Shadow
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import Acknowledgement
from gateway.core.contract.release import Release
from gateway.core.contract.shadowing import ShadowMoved, ShadowPlan, ShadowRow, ShadowStatus
from gateway.settings.shadows import WHOLE, captures, refusals, to_acknowledge
from gateway.store import aliases, caps, jobs, pairs, releases

ALL = "all"
"""In place of a candidate: every one of the alias."""


class Order(msgspec.Struct, frozen=True):
    """What is asked for. `rate` and `secondary` are shares, 0 to 1; None takes what runs, or the configuration's."""

    alias: str
    candidate: str
    rate: float = 0.1
    secondary: float | None = None
    until_ms: int = 0


async def plan(desk: Desk, order: Order) -> ShadowPlan:
    """What starting it would mean; nothing is written.

    Raises Fault: 404 for unknown names, 400 `bad_rate`, 409 `shadow_same`, `release_blocked`, `release_dead`, or the code of
    what the configuration does not let be (`settings.shadows`).
    """
    return await _planned(desk, await desk.alias(order.alias), order)


async def start(
    desk: Desk, order: Order, reason: str, *, acknowledged: bool = False, timeout: float = FOLLOW_SECONDS
) -> ShadowMoved:
    """Run a candidate alongside, or change how it runs, and wait for the workers.

    Raises Fault as `plan`, 409 `acknowledge_needed` where somebody has to answer for it, `pointer_moved` after a race.
    """
    why = checked_reason(reason)
    state = await desk.alias(order.alias)
    planned = await _planned(desk, state, order)
    if planned.acknowledge and not acknowledged:
        message = f"{'; '.join(planned.acknowledge)}. Say --yes (`acknowledged` in the API) to answer for that."
        raise Fault(Kind.CONFLICT, "acknowledge_needed", message)
    others = [each for each in state.shadows if each.candidate != order.candidate]
    after = msgspec.structs.replace(state, shadows=(*others, planned.shadow))
    if planned.shadow in state.shadows:
        return _moved("shadow_start", state, planned, (f"{order.candidate} runs like that already",))
    note = f"acknowledged: {'; '.join(planned.acknowledge)}" if planned.acknowledge else ""
    begun = now()
    stored = await aliases.write(desk.store, state, after, desk.entry("shadow_start", why, note=note))
    return await _finished(desk, Move("shadow_start", state, stored, begun), planned, timeout)


async def stop(desk: Desk, alias: str, candidate: str, reason: str, *, timeout: float = FOLLOW_SECONDS) -> ShadowMoved:
    """End one shadow or, with `all`, every one. What waits in the queue is skipped; results stay. Asking twice is harmless."""
    why = checked_reason(reason)
    state = await desk.alias(alias)
    left = () if candidate == ALL else tuple(each for each in state.shadows if each.candidate != candidate)
    if left == state.shadows:
        running = ", ".join(each.candidate for each in state.shadows) or "none"
        return _moved("shadow_stop", state, None, (f"nothing to stop; in shadow: {running}",))
    begun = now()
    after = msgspec.structs.replace(state, shadows=left)
    stored = await aliases.write(desk.store, state, after, desk.entry("shadow_stop", why))
    return await _finished(desk, Move("shadow_stop", state, stored, begun), None, timeout)


async def status(desk: Desk, alias: str = "") -> ShadowStatus:
    """Candidates of one alias or of all, those that ended too as long as they have results, and how the queue is."""
    states = {alias: await desk.alias(alias)} if alias else await aliases.every(desk.store)
    settings = desk.settings
    async with results(desk) as store:
        counts = {name: await pairs.counts(store, name) for name in states}
        depth = await jobs.depth(store)
        paused = await caps.pauses(store, desk.now_ms)
        spent = await caps.spent(store, desk.now_ms)
    named = [(name, each) for name, state in states.items() for each in _candidates(state, counts[name])]
    known = await releases.many(desk.store, [candidate for _, candidate in named])
    rows = [_row(desk, states[name], candidate, counts[name], known) for name, candidate in named]
    return ShadowStatus(
        shadows=tuple(rows),
        queue=depth.jobs,
        oldest_ms=depth.oldest_ms,
        paused=paused,
        spent_micro=spent,
        cap_micro=round(settings.shadow.budget * 1_000_000),
        capture=", ".join(f"{name}: {mode}" for name, mode in captures(settings).items()),
    )


def wanted(desk: Desk, known: Shadow | None, order: Order) -> Shadow:
    """The shadow as it would be stored. Raises Fault 400 `bad_rate`."""
    rate = round(order.rate * WHOLE) if 0 < order.rate <= 1 else 0
    if rate < 1:
        message = f"the rate must be above 0 and at most 1, in steps of 0.0001: not {order.rate:g}"
        raise Fault(Kind.BAD_REQUEST, "bad_rate", message, param="rate")
    share = desk.settings.shadow.secondary if order.secondary is None else order.secondary
    if not 0 <= share <= 1:
        raise Fault(Kind.BAD_REQUEST, "bad_rate", "the secondary must be from 0 to 1", param="secondary")
    if order.until_ms and order.until_ms <= desk.now_ms:
        raise Fault(Kind.BAD_REQUEST, "bad_rate", "the end of the shadow is in the past", param="until_ms")
    return Shadow(
        candidate=order.candidate,
        salt=known.salt if known is not None else secrets.token_hex(8),
        rate=rate,
        secondary=round(share * WHOLE) if known is None or order.secondary is not None else known.secondary,
        started_ms=known.started_ms if known is not None else desk.now_ms,
        until_ms=order.until_ms,
    )


async def _planned(desk: Desk, state: AliasState, order: Order) -> ShadowPlan:
    running = next((each for each in state.shadows if each.candidate == order.candidate), None)
    if running is not None and running.until_ms and running.until_ms <= desk.now_ms:
        running = None  # it has ended: this is a new one
    shadow = wanted(desk, running, order)
    candidate = await desk.release(order.candidate)
    callable_or_fault(desk, candidate)
    names = dict.fromkeys(lane.release for lane in state.lanes.values() if lane.release != order.candidate)
    if not names:
        message = f"{order.candidate} is stable in every lane of {state.name}: there is nothing to compare it with"
        raise Fault(Kind.CONFLICT, "shadow_same", message, param="candidate")
    stables = await releases.many(desk.store, names)
    for stable in stables.values():
        _fit(desk, stable, candidate, shadow)
    ways = [(stable.snapshot, candidate.snapshot) for stable in stables.values()]
    told = await estimate(desk, state, (shadow.rate / WHOLE, shadow.secondary / WHOLE), ways)
    return ShadowPlan(
        alias=state.name,
        shadow=shadow,
        model=candidate.triple.model,
        estimate=told,
        acknowledge=to_acknowledge(desk.settings, shadow.rate),
        warnings=tuple(_warnings(desk, shadow)),
    )


def _fit(desk: Desk, stable: Release, candidate: Release, shadow: Shadow) -> None:
    if stable.snapshot.provider not in desk.settings.providers:
        return  # nothing is live there
    for refusal in refusals(desk.settings, stable.snapshot, candidate.snapshot, shadow.secondary / WHOLE):
        raise Fault(Kind.CONFLICT, refusal.code, refusal.message, param=refusal.key)


def _warnings(desk: Desk, shadow: Shadow) -> list[str]:
    found = []
    modes = captures(desk.settings)
    nothing = sorted(name for name, mode in modes.items() if mode == "none")
    if nothing:
        who = "tenants without a word of their own" if nothing == ["*"] else ", ".join(nothing).replace("*", "others")
        found.append(f"nothing is captured of {who}: `capture` is none there")
    if not shadow.secondary:
        found.append("without a secondary there is no noise to compare with: every dimension stays without a verdict")
    return found


def _candidates(state: AliasState, counts: dict[str, dict[str, int]]) -> list[str]:
    return list(dict.fromkeys([*(each.candidate for each in state.shadows), *counts]))


def _row(
    desk: Desk, state: AliasState, candidate: str, counts: dict[str, dict[str, int]], known: dict[str, Release]
) -> ShadowRow:
    shadow = next((each for each in state.shadows if each.candidate == candidate), None)
    running = shadow is not None and (not shadow.until_ms or shadow.until_ms > desk.now_ms)
    return ShadowRow(
        alias=state.name,
        candidate=candidate,
        model=known[candidate].triple.model if candidate in known else "",
        running=running,
        rate=shadow.rate / WHOLE if shadow is not None else 0.0,
        secondary=shadow.secondary / WHOLE if shadow is not None else 0.0,
        started_ms=shadow.started_ms if shadow is not None else 0,
        until_ms=shadow.until_ms if shadow is not None else 0,
        results={word: number for word, number in counts.get(candidate, {}).items() if number},
    )


def _moved(action: str, state: AliasState, planned: ShadowPlan | None, warnings: tuple[str, ...]) -> ShadowMoved:
    """The answer when there was nothing to do."""
    return ShadowMoved(
        alias=state.name,
        action=action,
        changed=False,
        version=state.version,
        before=state.shadows,
        after=state.shadows,
        plan=planned,
        warnings=warnings,
        acknowledged=Acknowledgement(version=state.version, milliseconds={}, silent=()),
    )


async def _finished(desk: Desk, move: Move, planned: ShadowPlan | None, timeout: float) -> ShadowMoved:
    heard = await finished(desk, move, timeout)
    return ShadowMoved(
        alias=heard.alias,
        action=move.action,
        changed=True,
        version=heard.version,
        before=move.before.shadows,
        after=move.after.shadows,
        plan=planned,
        warnings=heard.warnings,
        acknowledged=heard.acknowledged,
    )
