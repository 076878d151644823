"""The state of the whole gateway in one answer: store, aliases, workers, and what somebody should look at."""

from __future__ import annotations

import msgspec

from gateway.control import lifecycle
from gateway.control.aliases import row
from gateway.control.desk import Desk
from gateway.control.rollouts import HEARD_MS
from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import AliasRow, Safety, Status, WorkerBeat
from gateway.core.contract.rollout import Phase
from gateway.core.pinning.lifecycle import HORIZON, WARNINGS
from gateway.core.rollout.named import named
from gateway.core.rollout.table import sentence
from gateway.settings import tables
from gateway.store import aliases, epochs, lease, recovery, releases, workers
from gateway.store.local import DiskCopyError, in_force, pending
from gateway.store.safety import check


async def status(desk: Desk) -> Status:
    """Never raises for a store that is dead, lost or unsafe: that is what it tells. Aliases then come from the disk copy."""
    warnings: list[str] = []
    notes: list[str] = []
    data_dir = desk.settings.store.data_dir
    try:
        copy = in_force(data_dir)
        overridden = sorted({e.after.name for e in pending(data_dir) if e.after is not None})
    except DiskCopyError as error:
        copy, overridden = None, []
        warnings.append(str(error))
    if overridden:
        warnings.append(f"overridden on this host until the store follows: {', '.join(overridden)}")
    try:
        safety = await check(desk.store)
        lost = await recovery.loss(desk.store, copy)
        states = await aliases.every(desk.store)
        following = await workers.listed(desk.store, {name: state.version for name, state in states.items()})
        warnings += [*safety.warnings, *_untold(safety), *await _blocked(desk, states), *await _rolling(desk, states)]
        warnings += await _drifted(desk, states)
        soon, notes = await _retiring(desk)
        warnings += soon
    except Fault as fault:
        remembered = copy.aliases if copy is not None else {}
        return _answer(None, fault.message, lost="", states=remembered, following=[], warnings=warnings)
    if lost:
        warnings.append(
            f"store_lost: {lost}. `trivet store restore` puts this host's copy back, `bootstrap` starts afresh."
        )
    warnings += [f"worker {w.worker} is silent" for w in following if not w.alive]
    warnings += [f"worker {w.worker} is behind on {w.behind} aliases" for w in following if w.alive and w.behind]
    told = _answer(safety, "", lost=lost, states=states, following=following, warnings=warnings)
    return msgspec.structs.replace(told, notes=tuple(notes))


def _answer(
    safety: Safety | None,
    error: str,
    *,
    lost: str,
    states: dict[str, AliasState],
    following: list[WorkerBeat],
    warnings: list[str],
) -> Status:
    rows: tuple[AliasRow, ...] = tuple(row(states[name]) for name in sorted(states))
    return Status(
        store=safety,
        store_error=error,
        store_lost=bool(lost),
        aliases=rows,
        workers=tuple(following),
        warnings=tuple(warnings),
    )


def _untold(safety: Safety) -> list[str]:
    if not safety.untold or safety.assumed:
        return []
    return [f"the server does not tell {' and '.join(safety.untold)}; `store.assume: durable` vouches for it"]


async def _rolling(desk: Desk, states: dict[str, AliasState]) -> list[str]:
    """Rollouts that wait for somebody, and that nobody drives them."""
    found = {name: s.rollout for name, s in states.items() if s.rollout is not None and not s.rollout.ended}
    if not found:
        return []
    told = []
    heard, _ = await lease.heard_ms(desk.store)
    if not 0 <= heard <= HEARD_MS:
        told.append("no process drives rollouts: no new run gets a candidate until one does")
    for name, rollout in found.items():
        if rollout.phase is Phase.FROZEN:
            why = "; ".join(sentence(code) for code in rollout.causes)
            told.append(f"the rollout of {name} is frozen: {why} (`trivet rollout status {name}`)")
        elif rollout.phase is Phase.AWAITING_APPROVAL:
            told.append(f"the rollout of {name} waits for an approval (`trivet rollout approve {name}`)")
    return told


async def _blocked(desk: Desk, states: dict[str, AliasState]) -> list[str]:
    stable = {lane.release for state in states.values() for lane in state.lanes.values()}
    found = await releases.many(desk.store, stable)
    missing = [
        f"release {name} is stable but its record is gone from the store" for name in sorted(stable - set(found))
    ]
    return missing + [f"release {r.id} is stable but blocked: {r.blocked}" for r in found.values() if r.blocked]


async def _retiring(desk: Desk) -> tuple[list[str], list[str]]:
    """Models in use that retire within the horizon, or have, and those that retire within the first warning's time."""
    seen = await lifecycle.survey(desk, tables.calendar())
    soon: list[str] = []
    later: list[str] = []
    for snapshot in sorted(seen.known, key=lambda name: (seen.known[name].retires, name)):
        days = seen.days(snapshot)
        if days is None or days > WARNINGS[0]:
            continue
        users = dict.fromkeys(f"{use.alias} {use.role}" for use in seen.uses if use.snapshot == snapshot)
        said = lifecycle.retiring(seen.known[snapshot].retires, days)
        (soon if days <= HORIZON else later).append(
            f"{snapshot} {said}: {', '.join(users)} (`trivet lifecycle --plan`)"
        )
    return soon, later


async def _drifted(desk: Desk, states: dict[str, AliasState]) -> list[str]:
    """Models in use of which nobody has acknowledged that they changed."""
    found = await releases.many(desk.store, {release for state in states.values() for _, release in named(state)})
    kept = await epochs.load(desk.store, sorted({release.triple.model for release in found.values()}), strict=False)
    return [
        f"{snapshot} is not the model that it was, since epoch {each.watched.epoch.number} (`trivet drift status`)"
        for snapshot, each in kept.items()
        if each.watched.open
    ]
