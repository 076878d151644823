"""`rollback --local`: the way back while the store is dead, for the workers of this host, and its return into the store.

Rule of the file: it follows the same plan as any rollback, from the disk copy, one version up. When the store returns, the
higher version wins, and the history tells of both.
"""

from __future__ import annotations

import anyio
import msgspec

from gateway.control.desk import Desk, checked_reason, unreadable
from gateway.control.moves import unchanged
from gateway.control.rollback import Order, mentioned, planned
from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import Acknowledgement, HistoryEntry, Moved
from gateway.store import aliases, releases, workers
from gateway.store.local import DiskCopyError, override, pending, read_override, settle
from gateway.store.records import PointerFile
from gateway.store.recovery import identity, overruled

NOT_HEARD = "workers of this host read the override within 250 ms; while the store is dead they cannot say so"

NOT_TAKEN = "not taken over"
LEAVE_SECONDS = 1.0
"""How long one round waits for workers to leave an override that the store has overtaken."""


async def rollback_here(desk: Desk, alias: str, reason: str, *, lane: str = "", to: str = "") -> Moved:
    """Roll back for the workers of this host only, by file. On disk when this returns.

    Raises Fault `store_answers` when the store can be used (then the rollback belongs there), `no_copy` when this host
    remembers no pointers, else as `rollback`.
    """
    why = checked_reason(reason)
    if await _answers(desk):
        message = "the store answers, so roll back there, without --local: all hosts would follow"
        raise Fault(Kind.CONFLICT, "store_answers", message)
    file = desk.remembered() or PointerFile()
    state = file.aliases.get(alias)
    if state is None:
        listed = ", ".join(sorted(file.aliases)) or "nothing"
        message = f"this host's copy in {desk.settings.store.data_dir} does not know alias {alias}; it has {listed}"
        raise Fault(Kind.NOT_FOUND, "no_copy", message)
    plan = planned(desk, state, file.releases, Order(lane, to, why=reason))
    if plan.after is None:
        return msgspec.structs.replace(unchanged("rollback", state, *plan.warnings), where="local")
    after = msgspec.structs.replace(plan.after, version=state.version + 1)
    entry = msgspec.structs.replace(
        desk.entry("local", why, note="made on one host while the store was dead"),
        version=after.version,
        before=state,
        after=after,
    )
    kept = {name: file.releases[name] for name in mentioned(after) if name in file.releases}
    override(desk.settings.store.data_dir, PointerFile(file.instance, 0, {alias: after}, kept), entry)
    return Moved(
        alias=alias,
        action="rollback",
        changed=True,
        version=after.version,
        before=state.lanes,
        after=after.lanes,
        split_before=state.split,
        split_after=after.split,
        warnings=(*plan.warnings, NOT_HEARD),
        override="",
        acknowledged=Acknowledgement(version=after.version, milliseconds={}, silent=()),
        where="local",
    )


async def reconcile(desk: Desk) -> list[str]:
    """Bring overrides of this host into the store and take them out of force; what happened, a sentence each.

    For the background process whenever the store has returned. Running it again is harmless. A store that has forgotten the
    alias (`store_lost`) is left alone. Raises Fault when the store cannot be used; the overrides then stay.
    """
    data_dir = desk.settings.store.data_dir
    try:
        file = read_override(data_dir)
    except DiskCopyError as error:
        raise unreadable(error) from error
    if file is None:
        return []
    told: list[str] = []
    settled: dict[str, int] = {}
    known = await identity(desk.store)
    if file.instance and known.instance != file.instance:
        if not overruled(known, file):
            return [
                "the store is not the one the override was made for; it stays until `trivet store restore` or `bootstrap`"
            ]
        settle(data_dir, {name: state.version for name, state in file.aliases.items()})
        return [f"alias {name}: its override was made for a former store and is dropped" for name in file.aliases]
    for name, state in file.aliases.items():
        stored = await aliases.get(desk.store, name)
        if stored is None:
            told.append(f"alias {name}: the store does not know it; its override stays")
            continue
        entries = [entry for entry in pending(data_dir) if entry.after is not None and entry.after.name == name]
        if entries and await _taken_over(desk, entries[-1]):
            told.append(f"alias {name}: the override of this host is in the store, version {state.version}")
        else:
            told.append(await _settle_one(desk, file, stored, state, entries))
        if await _left(desk, name):
            settled[name] = state.version
    settle(data_dir, settled)
    return told


async def _settle_one(
    desk: Desk, file: PointerFile, stored: AliasState, state: AliasState, entries: list[HistoryEntry]
) -> str:
    last = entries[-1] if entries else desk.entry("local", "override of one host without a record")
    for entry in entries[:-1]:
        await _note_once(desk, entry, "followed by another override on the same host")
    for release in file.releases.values():
        await releases.put(desk.store, release)
    epoch = max(state.epoch, stored.epoch)
    if await aliases.lift(desk.store, stored, msgspec.structs.replace(state, epoch=epoch), last):
        return f"alias {state.name}: the override of this host is in the store now, version {state.version}"
    await _note_once(desk, last, f"{NOT_TAKEN}: the store was at version {stored.version} already")
    return f"alias {state.name}: the store is at version {stored.version}, newer than the override, which is dropped"


async def _taken_over(desk: Desk, entry: HistoryEntry) -> bool:
    """Whether this override is in the store's history as a write: an earlier round lifted it."""
    assert entry.after is not None
    known = await aliases.history(desk.store, entry.after.name, 50)
    return any(one.operation == entry.operation and not one.note.startswith(NOT_TAKEN) for one in known)


async def _left(desk: Desk, alias: str) -> bool:
    """Whether no worker needs the override any more: taking it away sooner would show them the older state for a moment."""
    with anyio.move_on_after(LEAVE_SECONDS):
        while True:
            now, found = await workers.beats(desk.store)
            if not any(alias in beat.local for beat in found.values() if workers.alive(now, beat)):
                return True
            await anyio.sleep(0.02)
    return False


async def _note_once(desk: Desk, entry: HistoryEntry, note: str) -> None:
    assert entry.after is not None
    name = entry.after.name
    if not any(known.operation == entry.operation for known in await aliases.history(desk.store, name, 50)):
        await aliases.note(desk.store, name, msgspec.structs.replace(entry, note=note))


async def _answers(desk: Desk) -> bool:
    try:
        await desk.store.do("PING")
    except Fault:
        return False
    return True
