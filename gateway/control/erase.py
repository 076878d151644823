"""Erasing a tenant, or one of its runs: everything that is stored of it goes, and a receipt says what and who wanted it.

Rule of the file: done in pieces that each end soon, so that it can be interrupted and asked again; the cursor carries all there is
to know between them. While it goes on, and for requests made before its end, no pair is written (faults.md I9).
"""

from __future__ import annotations

import base64
from collections import Counter

import anyio
import msgspec

from gateway.control.desk import Desk, checked_reason
from gateway.control.shadow_store import results
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.shadowing import Erased
from gateway.store import aliases, erasure
from gateway.store.client import Store
from gateway.store.erasure import Whose

PIECE_SECONDS = 4.0
"""After so long a piece ends, and the caller asks for the next one."""
AHEAD_MS = 600_000
"""How far ahead the mark is set while it goes on: nothing that is written in between escapes."""
STAGES = ("aliases", "keys", "shadow keys", "jobs", "end")


class _At(msgspec.Struct):
    """Where an erasure is. `place` is the next alias, or the cursor of the scan."""

    stage: str = STAGES[0]
    place: str = ""
    removed: dict[str, int] = {}


async def erase(desk: Desk, tenant: str, reason: str, *, run: str = "", cursor: str = "") -> Erased:
    """One piece of an erasure; `done` says whether it was the last. A tenant nobody knows has nothing to remove.

    Raises Fault: 400 `bad_cursor`, 409 `erase_rights` where the store's user may not SCAN.
    """
    why = checked_reason(reason)
    whose, at = Whose(tenant, run), _opened(cursor)
    begun = anyio.current_time()
    async with results(desk) as shadow:
        await erasure.mark(shadow, whose, desk.now_ms + AHEAD_MS)
        await _piece(desk, shadow, whose, at)
        while at.stage != "end" and anyio.current_time() - begun < PIECE_SECONDS:
            await _piece(desk, shadow, whose, at)
        if at.stage == "end":
            await erasure.mark(shadow, whose, desk.now_ms + int((anyio.current_time() - begun) * 1000))
    told = Erased(
        tenant=tenant,
        run=run,
        at_ms=desk.now_ms,
        actor=desk.actor,
        reason=why,
        done=at.stage == "end",
        cursor="" if at.stage == "end" else base64.urlsafe_b64encode(msgspec.json.encode(at)).decode(),
        removed=at.removed,
        kept=await _kept(desk, tenant),
        receipt="",
    )
    if not told.done:
        return told
    return msgspec.structs.replace(told, receipt=await erasure.receipt(desk.store, msgspec.json.encode(told)))


async def _piece(desk: Desk, shadow: Store, whose: Whose, at: _At) -> None:
    """The next bit of work: one alias, or one look at some keys."""
    found: dict[str, int] = {}
    if at.stage == "aliases":
        names = [name for name in await aliases.names(desk.store) if name > at.place]
        if names:
            at.place = names[0]
            for store in {desk.store, shadow}:
                found = _sum(found, await erasure.drop_entries(store, names[0], whose))
        ended = len(names) <= 1
    elif at.stage in ("keys", "shadow keys"):
        store = desk.store if at.stage == "keys" else shadow
        at.place, names = await erasure.scan(store, at.place or "0")
        found = await erasure.drop(store, names, whose)
        ended = at.place == "0"
    else:
        found = await erasure.drop_jobs(shadow, whose)
        ended = True
    at.removed = _sum(at.removed, found)
    if ended:
        at.place = ""
        at.stage = STAGES[STAGES.index(at.stage) + 1]
        if at.stage == "shadow keys" and shadow is desk.store:
            at.stage = "jobs"


async def _kept(desk: Desk, tenant: str) -> tuple[str, ...]:
    found = ["the log on each gateway's disk holds ids of runs, without contents, until it has rolled over"]
    keys = sum(key.tenant == tenant for key in desk.settings.keys)
    if keys or tenant in desk.settings.tenants:
        found.append(f"the configuration names it ({keys} keys): what it sends from now on is stored anew")
    lanes = [name for name, state in (await aliases.every(desk.store)).items() if f"tenant:{tenant}" in state.lanes]
    if lanes:
        found.append(f"lanes of its own: {', '.join(lanes)}")
    return tuple(found)


def _opened(cursor: str) -> _At:
    if not cursor:
        return _At()
    try:
        at = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()), type=_At)
    except (ValueError, UnicodeEncodeError):
        at = _At(stage="")
    if at.stage not in STAGES or at.stage == "end":
        raise Fault(Kind.BAD_REQUEST, "bad_cursor", "the cursor is not one that an erasure gave; leave it out to begin")
    return at


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))
