"""Can we roll back right now, and to what: the proofs of every release that a lane names, with their age and source.

Rule of the file: it tells what the sentinel found and moves nothing. A release that nobody looked at is unproven; an operation that
only wanted to warn goes on without what cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.control.desk import Desk
from gateway.control.lifecycle import known as retirements
from gateway.control.moves import candidate_of
from gateway.core.contract.alias import EVERYONE, AliasState, Lane
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Release
from gateway.core.contract.sentinel import Callable, Proof, WarmRow
from gateway.core.pinning import lifecycle
from gateway.core.pinning.warm import WARM_MS, judged, unseen
from gateway.settings import tables
from gateway.store import aliases, proofs, releases

Place = tuple[str, int, str]
"""Lane, place and release."""


async def listed(desk: Desk, alias: str = "") -> list[WarmRow]:
    """Every release that the lanes of an alias, or of all, name: stable, then what to go back to, then the candidate.

    Raises Fault 404 `alias_unknown`, and for the store.
    """
    if alias:
        states: Mapping[str, AliasState] = {alias: await desk.alias(alias)}
    else:
        states = await aliases.every(desk.store)
    rows = [(name, *place) for name in sorted(states) for place in places(states[name])]
    wanted = {release for *_, release in rows}
    found = await looked(desk, wanted)
    records = await releases.many(desk.store, wanted)
    dates = await retirements(desk, tables.calendar(), {each.triple.model for each in records.values()})
    days = {name: lifecycle.days_left(each.retires, desk.now_ms) for name, each in dates.items()}
    return [_row(row, found.get(row[3], unseen(row[3])), records.get(row[3]), days, desk.now_ms) for row in rows]


async def looked(desk: Desk, wanted: Iterable[str]) -> dict[str, Callable]:
    """The proofs of these releases as of now, those that somebody looked at. Raises Fault for the store."""
    warm_ms = round(desk.settings.probes.warm_every * 1000) or WARM_MS
    found = await proofs.get(desk.store, wanted)
    return {name: judged(each, desk.now_ms, warm_ms) for name, each in found.items()}


async def outlook(desk: Desk, alias: str, lanes: Mapping[str, Lane]) -> tuple[str, ...]:
    """What lanes that are about to stand so should warn of: nothing to go back to is proven. Never raises.

    Releases that nobody looked at yet warn of nothing: the first look comes within a minute.
    """
    try:
        found = await looked(desk, {release for lane in lanes.values() for release in lane.previous})
    except Fault:
        return ()
    warnings = []
    for name, lane in lanes.items():
        known = [found[each] for each in lane.previous if each in found]
        if known and not any(each.proof is Proof.PROVEN for each in known):
            told = "; ".join(sentence(each, desk.now_ms) for each in known)
            warnings.append(f"nothing that lane {name} could go back to is proven: {told} (`trivet warm {alias}`)")
    return tuple(warnings)


def places(state: AliasState) -> list[Place]:
    """The releases of each lane: 0 is stable, 1 the newest previous one; -1 a candidate."""
    candidate = candidate_of(state)
    inside = state.rollout.lanes if state.rollout is not None else state.split.lanes if state.split is not None else ()
    found: list[Place] = []
    for lane, pointer in state.lanes.items():
        found += [(lane, place, release) for place, release in enumerate((pointer.release, *pointer.previous))]
        if candidate and lane in (inside or (EVERYONE,)):
            found.append((lane, -1, candidate))
    return found


def sentence(known: Callable, now_ms: int) -> str:
    """A proof in words, such as `rel_… is unproven, last proven 7 h ago: its last proof is too old`."""
    when = f", last proven {age(now_ms - known.at_ms)} ago" if known.at_ms and known.proof is not Proof.DEAD else ""
    return f"{known.release} is {known.proof.value}{when}" + (f": {known.why}" if known.why else "")


def age(milliseconds: int) -> str:
    """A duration as one number and a unit."""
    seconds = max(milliseconds, 0) // 1000
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _row(
    row: tuple[str, str, int, str], found: Callable, record: Release | None, days: Mapping[str, int | None], now_ms: int
) -> WarmRow:
    alias, lane, place, release = row
    why, model = found.why, record.triple.model if record is not None else ""
    usable = record is not None and not record.blocked
    if record is None:
        why = "its record is gone from the store"
    elif record.blocked:
        why = f"it is blocked: {record.blocked}"
    return WarmRow(
        alias=alias,
        lane=lane,
        place=place,
        release=release,
        model=model,
        proof=found.proof,
        at_ms=found.at_ms,
        age_ms=max(now_ms - found.at_ms, 0) if found.at_ms else None,
        source=found.source,
        why=why,
        days_left=days.get(model),
        ready=usable and found.proof is Proof.PROVEN,
    )


def stuck(rows: Iterable[WarmRow]) -> list[tuple[str, str]]:
    """(alias, lane) of every lane that cannot roll back now: nothing it was on before is proven and unblocked."""
    lanes: dict[tuple[str, str], bool] = {}
    for row in rows:
        held = lanes.get((row.alias, row.lane), False)
        lanes[row.alias, row.lane] = held or (row.place > 0 and row.ready)
    return [lane for lane, good in lanes.items() if not good]
