"""Rollback: one write that takes every lane off the bad release, and the time until every worker followed.

Rule of the file: it always wins. It needs no lease, retries when others write meanwhile, works in every state, and asking
twice is harmless. It takes only releases that were stable in the lane; running runs keep their stamp unless they are stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from gateway.control import drift
from gateway.control.block import set_blocked
from gateway.control.desk import FOLLOW_SECONDS, Desk, checked_reason
from gateway.control.moves import Move, backward, finished, now, unchanged, with_lanes
from gateway.control.warm import looked, sentence
from gateway.core.contract.alias import EVERYONE, AliasState, Lane
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import Moved
from gateway.core.contract.release import Release
from gateway.core.contract.rollout import Phase, Word
from gateway.core.contract.sentinel import Callable, Proof
from gateway.core.rollout import machine
from gateway.store import aliases, releases
from gateway.store.aliases import PointerMoved

ATTEMPTS = 20
"""Writes that others may get in before a rollback gives up; each attempt is one round trip."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked: `lane` empty for every lane that serves the bad release, `to` empty for the previous one."""

    lane: str = ""
    to: str = ""
    bad: str = ""
    """The release to get off; found from the first state that is read, and kept when the write has to be repeated."""
    why: str = ""
    proofs: Mapping[str, Callable] = field(default_factory=dict)
    """What is known of releases that somebody looked at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback would write: `after` is None when there is nothing to do, and `warnings` say why."""

    after: AliasState | None
    bad: str
    warnings: tuple[str, ...] = ()


async def rollback(
    desk: Desk,
    alias: str,
    reason: str,
    *,
    lane: str = "",
    to: str = "",
    stop_runs: bool = False,
    timeout: float = FOLLOW_SECONDS,
) -> Moved:
    """Take the alias back to a release that was stable before, and wait for the workers.

    `stop_runs` blocks the bad release as well, so its runs end with 409 `release_blocked`. Raises Fault: 404
    `alias_unknown` or `lane_unknown`, 400 `lane_needed`, 409 `no_warm_release` and `release_dead` with the warm ones listed, 503
    for the store. A release that is dead is passed over; one that is unproven, or whose model drifted, warns.
    A rollout in progress ends with it and its candidate is barred; while nobody is on the candidate, the stable release is what
    is left.
    """
    why = checked_reason(reason)
    order = Order(lane, to, why=why)
    entry = desk.entry("rollback", why)
    for _ in range(ATTEMPTS):
        state = await desk.alias(alias)
        known = await releases.many(desk.store, mentioned(state, to))
        order = replace(order, proofs=await _looked(desk, known))
        plan = planned(desk, state, known, order)
        if plan.after is None:
            moved = unchanged("rollback", state, *plan.warnings)
            break
        begun = now()
        try:
            after = await aliases.write(desk.store, state, plan.after, entry)
        except PointerMoved:
            order = replace(order, bad=plan.bad)
            continue
        lanes = {name: pointer for name, pointer in after.lanes.items() if order.lane in ("", name)}
        warnings = (*plan.warnings, *await drift.outlook(desk, alias, lanes))  # written first: nothing holds it up
        moved = await finished(desk, Move("rollback", state, after, begun, warnings), timeout)
        break
    else:
        message = f"alias {alias} keeps being changed by others; nothing was rolled back. Stop them and try again."
        raise Fault(Kind.CONFLICT, "pointer_moved", message, retry=True)
    if stop_runs and plan.bad:
        stopped = await set_blocked(desk, plan.bad, why, timeout)
        told = f"runs of {plan.bad} are stopped" if stopped.changed else f"runs of {plan.bad} were stopped already"
        moved = msgspec.structs.replace(moved, warnings=(*moved.warnings, told))
    return moved


async def _looked(desk: Desk, known: Mapping[str, Release]) -> Mapping[str, Callable]:
    """What somebody found out about these releases; nothing where that cannot be read, because a rollback always wins."""
    try:
        return await looked(desk, known)
    except Fault:
        return {}


def mentioned(state: AliasState, to: str = "") -> list[str]:
    """Every release a rollback may have to know about."""
    return [name for lane in state.lanes.values() for name in (lane.release, *lane.previous)] + ([to] if to else [])


def planned(desk: Desk, state: AliasState, known: Mapping[str, Release], order: Order) -> Plan:
    """The state after the rollback. Pure. Raises Fault where there is no way back."""
    if order.lane and order.lane not in state.lanes:
        message = f"alias {state.name} has no lane {order.lane}; it has {', '.join(state.lanes)}"
        raise Fault(Kind.NOT_FOUND, "lane_unknown", message, param="lane")
    split = state.split if state.split is not None and order.lane in ("", *state.split.lanes) else None
    candidate = split.candidate if split is not None else ""
    if state.rollout is not None and _ends(state, order):
        candidate = state.rollout.candidate
    ended = (f"the rollout of {candidate} is ended",) if candidate else ()
    if split is not None and not order.to:
        # A rollout in progress: its candidate is what is bad, and weight 0 in one write is the way back.
        inside = [n for n, p in state.lanes.items() if p.release == candidate and order.lane in ("", n)]
        lanes = {**state.lanes, **{name: _back(desk, state, name, known, order) for name in inside}}
        return Plan(_ended(desk, with_lanes(state, lanes), order), candidate, ended)
    bad = order.bad or _bad(state, order)
    if not bad:
        came_from = _came_from(state, order)
        done = f"rolled back from {came_from} already; --to goes further back"
        return Plan(_ended(desk, state, order) if ended else None, came_from, (*ended, done))
    wanted = [order.lane] if order.lane else [n for n, pointer in state.lanes.items() if pointer.release == bad]
    if order.lane and state.lanes[order.lane].release != bad:
        wanted = []
    lanes = dict(state.lanes)
    for name in wanted:
        try:
            lanes[name] = _back(desk, state, name, known, order)
        except Fault as fault:
            if not ended or order.to:
                raise
            return Plan(_ended(desk, state, order), bad, (*ended, fault.message))
    if lanes == state.lanes and not ended:
        return Plan(None, bad, (f"nothing serves {bad} any more" if not wanted else f"{order.to} is stable already",))
    after = _ended(desk, with_lanes(state, lanes), order)
    return Plan(after, bad, (*ended, *_skipped(state, lanes, wanted), *_doubtful(desk, lanes, wanted, order)))


def _ended(desk: Desk, state: AliasState, order: Order) -> AliasState:
    """The state without its split, and with its rollout rolled back: one in progress, or a completed one whose candidate is left. One
    that another lane is in stays as it is."""
    rollout = state.rollout
    lanes = state.lanes
    ends = _ends(state, order)
    if rollout is not None and not rollout.ended and not ends:
        return state
    left = rollout is not None and all(pointer.release != rollout.candidate for pointer in lanes.values())
    if rollout is not None and (ends or (rollout.phase is Phase.COMPLETED and left)):
        turned = machine.turn(
            rollout,
            Word.ROLLBACK,
            now_ms=desk.now_ms,
            stakes=desk.stakes(state),
            actor=desk.actor,
            reason=order.why,
        )
        # The lanes are where this order put them: it may know that the incumbent cannot be called any more.
        state = with_lanes(machine.state_after(state, turned, desk.warm(state.name)), lanes)
    return msgspec.structs.replace(state, split=None)


def _ends(state: AliasState, order: Order) -> bool:
    """Whether the order ends a rollout in progress: it is for every lane, or for one that the rollout is of, split yet or not."""
    return state.rollout is not None and not state.rollout.ended and order.lane in ("", *state.rollout.lanes)


def _came_from(state: AliasState, order: Order) -> str:
    """What was rolled back already: the pointer, or a rollout whose candidate never became stable. Empty for neither."""
    pointer, rollout = state.lanes[_first(state, order)], state.rollout
    if pointer.rolled_back or rollout is None or rollout.phase is not Phase.ROLLED_BACK or rollout.retried:
        return pointer.rolled_back
    inside = [state.lanes[name].release for name in rollout.lanes if name in state.lanes and order.lane in ("", name)]
    return rollout.candidate if inside and set(inside) == {rollout.incumbent} else ""


def _first(state: AliasState, order: Order) -> str:
    return order.lane or (EVERYONE if EVERYONE in state.lanes else next(iter(state.lanes)))


def _bad(state: AliasState, order: Order) -> str:
    """The release to get off: the named lane's, else that of `*`, else the only one there is. Empty when that was done."""
    if not order.lane and EVERYONE not in state.lanes:
        serving = {pointer.release for pointer in state.lanes.values()}
        if len(serving) != 1:
            message = (
                f"the lanes of {state.name} serve different releases; say which with --lane: {', '.join(state.lanes)}"
            )
            raise Fault(Kind.BAD_REQUEST, "lane_needed", message, param="lane")
    if _came_from(state, order) and not order.to:
        return ""
    return state.lanes[_first(state, order)].release


def _back(desk: Desk, state: AliasState, name: str, known: Mapping[str, Release], order: Order) -> Lane:
    """One lane after the rollback. Raises Fault `no_warm_release` or `release_dead` that lists where it could go."""
    lane, to, code = state.lanes[name], order.to, "no_warm_release"
    if to and to == lane.release:
        return lane
    dead = {old: each.why for old, each in order.proofs.items() if each.proof is Proof.DEAD}
    warm = [old for old in lane.previous if old not in dead and _callable(desk, known.get(old))]
    if to:
        if to in warm:
            return backward(lane, to)
        if to in lane.previous and to in dead:
            code = "release_dead"
            why = f"it is dead, {dead[to]}. `trivet warm {state.name} --probe` asks its provider again"
        elif to in lane.previous:
            release = known.get(to)
            blocked = release is not None and release.blocked
            why = (
                f"it is blocked ({blocked})"
                if blocked
                else "it cannot be called: its record or its provider is gone, or this version does not carry out its legs"
            )
        else:
            why = "it was never stable there, or longer ago than releases are kept warm"
        problem = f"lane {name} of {state.name} cannot go back to {to}: {why}"
    elif warm:
        return backward(lane, warm[0])
    else:
        told = "; ".join(f"{old} is dead, {dead[old]}" for old in lane.previous if old in dead)
        problem = f"lane {name} of {state.name} has nothing to go back to" + (f": {told}" if told else "")
    listed = ", ".join(warm) or "none"
    raise Fault(Kind.CONFLICT, code, f"{problem}. Warm releases: {listed}.", param="to")


def _callable(desk: Desk, release: Release | None) -> bool:
    return release is not None and not release.blocked and release.snapshot.provider in desk.settings.providers


def _skipped(state: AliasState, lanes: Mapping[str, Lane], wanted: list[str]) -> tuple[str, ...]:
    """Say where a newer release was passed over because it cannot be called."""
    found = []
    for name in wanted:
        target, order = lanes[name].release, state.lanes[name].previous
        passed = order[: order.index(target)] if target in order else ()
        found += [f"lane {name}: passed over {', '.join(passed)}, which cannot be called" for _ in passed[:1]]
    return tuple(found)


def _doubtful(desk: Desk, lanes: Mapping[str, Lane], wanted: list[str], order: Order) -> tuple[str, ...]:
    """Say where nothing proves the release that a lane goes back to, though somebody looked."""
    targets = dict.fromkeys(lanes[name].release for name in wanted)
    found = [order.proofs[each] for each in targets if each in order.proofs]
    return tuple(sentence(each, desk.now_ms) for each in found if each.proof is Proof.UNPROVEN)
