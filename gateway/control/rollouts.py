"""What people order of a rollout: start, approve, freeze, resume, abort and the rest. One write each, confirmed by the workers.

Rule of the file: no order needs the process that drives rollouts. What takes runs off a candidate is tried until it holds; what
puts more on it is tried once, and who loses a race is told.
"""

from __future__ import annotations

import contextlib
import secrets

import msgspec

from gateway.control import drift, plans, shadows, warm
from gateway.control.baseline import NAMELESS_LIMIT, baseline
from gateway.control.desk import FOLLOW_SECONDS, Desk, checked_reason
from gateway.control.facts import Watch, last_facts
from gateway.control.lifecycle import outlook
from gateway.control.moves import Move, callable_or_fault, finished, forward, now
from gateway.control.turned import entry_of, told
from gateway.control.waits import waits
from gateway.core.contract.alias import AliasState, Stakes
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import Acknowledgement
from gateway.core.contract.release import Snapshot
from gateway.core.contract.rolling import RolloutMoved, RolloutStatus
from gateway.core.contract.rollout import Facts, Phase, Plan, Rollout, Word
from gateway.core.rollout import judge, machine
from gateway.core.rollout.rigor import Refused, Warned, may_release
from gateway.settings.shadows import WHOLE
from gateway.store import aliases, lease, releases
from gateway.store.aliases import PointerMoved

ATTEMPTS = 20
"""Writes that others may get in before an order that narrows gives up."""
STUBBORN = frozenset({Word.ABORT, Word.FREEZE})
"""Orders that are tried again when somebody else wrote meanwhile."""
_REASONED = frozenset({Word.ABORT, Word.FREEZE, Word.RESUME, Word.ACCEPT, Word.OVERRIDE, Word.SKIP_SHADOW})
"""Orders that always need a reason; an approval does where the stakes say so."""
HEARD_MS = 10_000
"""Live workers bind nobody to the candidate when the loop was silent for longer."""
MEASURED = frozenset({Word.OVERRIDE})
"""Orders that may enter the canary, and so fix the thresholds of values."""


class Order(msgspec.Struct, frozen=True):
    """What is asked for. `plan` is the manifest with its defaults filled in."""

    alias: str
    candidate: str
    plan: Plan
    skip_shadow: str = ""
    """The reason to go without a shadow."""
    attested: str = ""
    """A person's statement that an id of class unpinnable or unknown is fixed."""
    supersede: bool = False
    """Abort the rollout in progress first."""
    acknowledged: bool = False
    """Answers for what the shadow's plan asks somebody to answer for."""


async def start(desk: Desk, order: Order, reason: str, *, timeout: float = FOLLOW_SECONDS) -> RolloutMoved:
    """Begin a rollout and make its first step, in one write.

    Raises Fault: 404 for unknown names, 409 `rollout_active`, `candidate_barred`, `candidate_stable`, `lanes_differ`,
    `release_blocked`, `release_dead`, `plan_refused`, `acknowledge_needed`, `pointer_moved`, or what makes a shadow of it
    impossible.
    """
    why = checked_reason(reason)
    state = await desk.alias(order.alias)
    candidate = await desk.release(order.candidate)
    callable_or_fault(desk, candidate)
    if state.split is not None and state.rollout is None:
        message = f"alias {state.name} has a split to {state.split.candidate}; `trivet rollback` ends it"
        raise Fault(Kind.CONFLICT, "rollout_active", message, param="alias")
    warnings = list(_rigor(desk, state, candidate.snapshot, order.attested))
    aborted = _superseded(desk, state, order)
    draft = machine.begin(
        aborted or state,
        order.plan,
        order.candidate,
        identifier=secrets.token_hex(8),
        now_ms=desk.now_ms,
        actor=desk.actor,
        reason=why,
    )
    forecast = await plans.planned(desk, order.alias, order.candidate, order.plan)
    plans.refuse(forecast)
    warnings += forecast.warnings
    ends = {name: forward(lane, order.candidate, desk.warm(state.name)) for name, lane in state.lanes.items()}
    warnings += [*await outlook(desk, ends), *await warm.outlook(desk, state.name, ends)]
    warnings += await drift.outlook(desk, state.name, ends)
    notes: list[str] = []
    if not order.skip_shadow:
        warnings += await _shadowable(desk, order, notes)
    word, said = (Word.SKIP_SHADOW, order.skip_shadow) if order.skip_shadow else (Word.START, why)
    turned = machine.turn(draft, word, now_ms=desk.now_ms, stakes=desk.stakes(state), actor=desk.actor, reason=said)
    if aborted is not None and aborted.rollout is not None:  # only now: what is refused supersedes nothing
        entry = entry_of(desk, Word.ABORT, aborted.rollout, reason=f"superseded by {order.candidate}: {why}")
        state = await aliases.write(desk.store, state, aborted, entry)
        turned = msgspec.structs.replace(turned, version=state.version + 1)
    after = machine.state_after(state, turned, desk.warm(state.name))
    begun = now()
    stored = await aliases.write(
        desk.store, state, after, entry_of(desk, Word.START, turned, reason=why, note="; ".join(notes))
    )
    return await _finished(desk, Move("rollout_start", state, stored, begun, tuple(warnings)), timeout)


async def order(
    desk: Desk,
    alias: str,
    word: Word,
    reason: str = "",
    *,
    name: str = "",
    timeout: float = FOLLOW_SECONDS,
) -> RolloutMoved:
    """Say a person's word to the rollout of an alias; `name` is who answers for an override.

    Raises Fault: 404 `alias_unknown`, 409 `rollout_none`, `rollout_state` with what is possible, `pointer_moved` after a race
    (never for an abort or a freeze), 400 `reason_missing` where the stakes ask for one. An approval looks at the data first: what
    would freeze it or roll it back now refuses it with `rollout_state`, and so does what cannot be read.
    """
    why = checked_reason(reason) if reason or word in _REASONED else ""
    limits: dict[str, float] | None = None
    for attempt in range(ATTEMPTS):
        state = await desk.alias(alias)
        rollout = _rollout(state)
        if word is Word.ABORT and rollout.phase in (Phase.ABORTED, Phase.ROLLED_BACK, Phase.EXPIRED):
            return _unchanged(word, state, f"it has ended already: {rollout.phase.value}")
        stakes = desk.stakes(state)
        warning = machine.warning(rollout, word, stakes)
        if word is Word.APPROVE and rollout.phase is Phase.AWAITING_APPROVAL:
            await _nothing_against(desk, state, rollout)
        if word in MEASURED and rollout.phase is Phase.GATED:
            limits = dict((await baseline(desk, alias, rollout)).limits)
        turned = machine.turn(
            rollout,
            word,
            now_ms=desk.now_ms,
            stakes=stakes,
            actor=desk.actor,
            reason=why,
            override=name,
            limits=limits,
        )
        after = machine.state_after(state, turned, desk.warm(alias))
        begun = now()
        try:
            stored = await aliases.write(desk.store, state, after, entry_of(desk, word, turned, reason=why))
        except PointerMoved:
            if word not in STUBBORN or attempt == ATTEMPTS - 1:
                raise
            continue
        warnings = (warning,) if warning else ()
        override = turned.override if word is Word.OVERRIDE else ""
        return await _finished(desk, Move(f"rollout_{word.value}", state, stored, begun, warnings, override), timeout)
    raise AssertionError("unreachable")


async def retry(
    desk: Desk, alias: str, reason: str, *, candidate: str = "", timeout: float = FOLLOW_SECONDS
) -> RolloutMoved:
    """Lift the bar of a candidate: by default of the last rollout's, else of any that is barred. Asking twice is harmless.

    A release that is not barred is left alone. Raises Fault 404 for an unknown alias, 409 `pointer_moved` after a race.
    """
    why = checked_reason(reason)
    state = await desk.alias(alias)
    name = candidate or (state.rollout.candidate if state.rollout is not None else "")
    if name not in state.barred:
        listed = ", ".join(state.barred) or "none"
        return _unchanged(Word.RETRY, state, f"{name or 'nothing'} is not barred; barred: {listed}")
    after = machine.unbarred(state, name)
    entry = desk.entry("rollout_retry", why, note=f"lifts the bar of {name}")
    begun = now()
    stored = await aliases.write(desk.store, state, after, entry)
    return await _finished(desk, Move("rollout_retry", state, stored, begun), timeout)


async def status(desk: Desk, alias: str) -> RolloutStatus:
    """Where the rollout of an alias is, what decides, and what it waits for. Raises Fault 404 `alias_unknown`.

    Numbers that cannot be read are named in `warnings` and left out, never shown as none.
    """
    state = await desk.alias(alias)
    rollout = state.rollout
    heard, conductor = await lease.heard_ms(desk.store)
    facts: Facts | None = None
    warnings: list[str] = []
    if rollout is not None:
        try:
            facts = await (last_facts if rollout.ended else Watch().facts)(desk, state, rollout)
        except Fault as fault:
            warnings.append(f"the numbers could not be read: {fault.message}")
        warnings += _alone(heard) if not rollout.ended else []
        if facts is not None and "nameless_tools" in facts.alarms:
            warnings.append(
                f"more than {NAMELESS_LIMIT:.0%} of the requests with tools name no run: each may get another release"
            )
    stakes = desk.stakes(state)
    found = await releases.many(desk.store, [rollout.candidate, rollout.incumbent] if rollout is not None else [])
    return RolloutStatus(
        alias=alias,
        version=state.version,
        stakes=stakes,
        at_ms=desk.now_ms,
        rollout=rollout,
        lanes=state.lanes,
        split=state.split,
        barred=state.barred,
        models={release: each.triple.model for release, each in found.items()},
        facts=facts,
        waits=waits(alias, rollout, facts, stakes) if rollout is not None else (),
        possible=machine.possible(rollout, stakes) if rollout is not None else (),
        conductor=conductor,
        heard_ms=heard,
        warnings=tuple(warnings),
    )


async def _nothing_against(desk: Desk, state: AliasState, rollout: Rollout) -> None:
    """Raises Fault `rollout_state` where the data of this moment would freeze the rollout or take it back, before a round saw it; at
    stakes high also where it leaves a metric open, since there no person answers for that."""
    facts = await Watch().facts(desk, state, rollout)
    stakes = desk.stakes(state)
    found = judge.due(rollout, facts, stakes)
    causes = found.causes if found is not None and found.word in (Word.REGRESSION, Word.FREEZE) else ()
    if stakes is Stakes.HIGH and rollout.at >= 0:
        causes = causes or tuple(judge.speechless(rollout, facts))
    if causes:
        message = (
            f"approve: the numbers of now speak against it: {told(causes)}. Nothing was widened; "
            f"`trivet rollout status {state.name}` shows them."
        )
        raise Fault(Kind.CONFLICT, "rollout_state", message)


def _rollout(state: AliasState) -> Rollout:
    if state.rollout is None:
        message = f"alias {state.name} has no rollout; `trivet rollout start -f FILE` begins one"
        raise Fault(Kind.CONFLICT, "rollout_none", message, param="alias")
    return state.rollout


def _superseded(desk: Desk, state: AliasState, order: Order) -> AliasState | None:
    """The alias with its rollout in progress aborted, when that was asked for; None where there is none to abort."""
    rollout = state.rollout
    if not order.supersede or rollout is None or rollout.ended:
        return None
    why = f"superseded by {order.candidate}"
    ended = machine.turn(
        rollout, Word.ABORT, now_ms=desk.now_ms, stakes=desk.stakes(state), actor=desk.actor, reason=why
    )
    return machine.state_after(state, ended, desk.warm(state.name))


def _rigor(desk: Desk, state: AliasState, snapshot: Snapshot, attested: str) -> tuple[str, ...]:
    """What the stakes say of the candidate's model. Raises Fault where they refuse it."""
    declared = desk.settings.aliases.get(state.name)
    allow = declared.allow_floating if declared is not None else ""
    pin = desk.verdict(snapshot).pin
    ruling = may_release(desk.stakes(state), pin, allow_floating=allow, attested=attested)
    if isinstance(ruling, Refused):
        raise ruling.fault()
    return (ruling.message,) if isinstance(ruling, Warned) else ()


async def _shadowable(desk: Desk, order: Order, notes: list[str]) -> list[str]:
    """Warnings about the shadow of the candidate. Raises Fault where no pair could come of it, or somebody has to answer first."""
    plan = order.plan
    wanted = shadows.Order(order.alias, order.candidate, plan.shadow_rate / WHOLE, plan.shadow_secondary / WHOLE)
    try:
        planned = await shadows.plan(desk, wanted)
    except Fault as fault:
        if fault.kind is not Kind.CONFLICT:
            raise
        message = f"{fault.message} Or go on without a shadow: `skip_shadow` in the manifest, with the reason."
        raise Fault(fault.kind, fault.code, message, param=fault.param) from fault
    if planned.acknowledge and not order.acknowledged:
        message = f"{'; '.join(planned.acknowledge)}. Say --yes (`acknowledged` in the API) to answer for that."
        raise Fault(Kind.CONFLICT, "acknowledge_needed", message)
    notes += [f"acknowledged: {each}" for each in planned.acknowledge]
    return list(planned.warnings)


def _alone(heard: int) -> list[str]:
    if 0 <= heard <= HEARD_MS:
        return []
    since = f"for {heard / 1000:.0f} s" if heard >= 0 else "ever"
    told = f"no process that drives rollouts was heard {since}: no new run gets the candidate until one is"
    return [f"{told} (`trivet serve --roles control`)"]


def _unchanged(word: Word, state: AliasState, *warnings: str) -> RolloutMoved:
    return RolloutMoved(
        alias=state.name,
        action=f"rollout_{word.value}",
        changed=False,
        version=state.version,
        before=state.rollout,
        after=state.rollout,
        split_before=state.split,
        split_after=state.split,
        warnings=warnings,
        override="",
        acknowledged=Acknowledgement(version=state.version, milliseconds={}, silent=()),
    )


async def _finished(desk: Desk, move: Move, timeout: float) -> RolloutMoved:
    """Wait for the workers; say what it waits for now."""
    heard = await finished(desk, move, timeout)
    rollout = move.after.rollout
    alone: list[str] = []
    facts: Facts | None = None
    if rollout is not None and not rollout.ended:
        # The order is carried out, whatever comes now: a store that is gone only leaves out what it waits for.
        with contextlib.suppress(Fault):
            alone = _alone((await lease.heard_ms(desk.store))[0])
            facts = await Watch().facts(desk, move.after, rollout)
    return RolloutMoved(
        alias=heard.alias,
        action=move.action,
        changed=True,
        version=heard.version,
        before=move.before.rollout,
        after=rollout,
        split_before=heard.split_before,
        split_after=heard.split_after,
        warnings=(*heard.warnings, *alone),
        override=move.override,
        acknowledged=heard.acknowledged,
        waits=waits(move.after.name, rollout, facts, desk.stakes(move.after)) if rollout is not None else (),
    )
