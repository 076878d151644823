"""When the store is not the one this host remembers: noticing it, putting the pointers back, or starting afresh on purpose.

Rule of the file: nothing is ever re-seeded by itself. An empty, exchanged or rolled-back store is `lost` until an operator
says `restore` or `bootstrap`; both are written into the history of every alias they touch.
"""

from __future__ import annotations

import secrets

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.records import HistoryEntry
from gateway.store import aliases, releases
from gateway.store.client import Store
from gateway.store.keys import SCHEMA
from gateway.store.records import PointerFile, StoreIdentity


async def identity(store: Store) -> StoreIdentity:
    """Who the store says it is; an empty `instance` means that nothing was ever written."""
    fields = {k.decode(): v.decode() for k, v in (await store.do("HGETALL", store.keys.store())).items()}
    return StoreIdentity(
        instance=fields.get("instance", ""), schema=int(fields.get("schema", "0")), replaces=fields.get("replaces", "")
    )


async def identify(store: Store, instance: str = "") -> StoreIdentity:
    """Give a store that has none its instance id, and return who it is. The first to ask decides; asking again is harmless."""
    await store.do("HSETNX", store.keys.store(), "instance", instance or secrets.token_hex(8))
    await store.do("HSETNX", store.keys.store(), "schema", SCHEMA)
    return await identity(store)


def overruled(known: StoreIdentity, copy: PointerFile) -> bool:
    """Whether an operator has said that this store takes the place of the one the copy was made from."""
    return bool(copy.instance) and copy.instance in known.replaces.split()


async def loss(store: Store, copy: PointerFile | None) -> str:
    """Why the store must not be taken for the one the disk copy was made from; empty when it may."""
    if copy is None or not copy.aliases:
        return ""
    known = await identity(store)
    if overruled(known, copy):
        return ""
    if not known.instance:
        return f"the store is empty, but this host remembers {len(copy.aliases)} aliases"
    if copy.instance and known.instance != copy.instance:
        return f"this is another store (instance {known.instance}) than the one this host remembers ({copy.instance})"
    stored = await aliases.every(store)
    older = sorted(n for n, state in copy.aliases.items() if n not in stored or stored[n].version < state.version)
    if older:
        return f"the store has forgotten pointer writes that this host remembers: {', '.join(older[:5])}"
    return ""


async def restore(store: Store, copy: PointerFile, entry: HistoryEntry) -> list[AliasState]:
    """Put the copy's releases and pointers back where the store has none or older ones; the states that were written.

    Runs again where it was interrupted. Stamps come back by themselves, from host logs and tickets.
    """
    for release in copy.releases.values():
        await releases.put(store, release)
    written: list[AliasState] = []
    for state in copy.aliases.values():
        before = await aliases.get(store, state.name)
        told = msgspec.structs.replace(entry, action="restore")
        if await aliases.lift(store, before, state, told):
            written.append(state)
    await _take_over(store, copy)
    return written


async def bootstrap(store: Store, copy: PointerFile | None, entry: HistoryEntry) -> StoreIdentity:
    """Declare this store, as it is, the successor of the one this host remembers. Pointers that it lacks are given up.

    Where something is lost the store gets a new instance id in the same write: workers take it for another store, whose
    versions begin anew.
    """
    known = await identity(store)
    if copy is None or not await loss(store, copy):
        return await identify(store)
    stored = await aliases.every(store)
    for name, state in copy.aliases.items():
        if name not in stored:
            told = msgspec.structs.replace(entry, action="bootstrap", version=0, before=state, after=None)
            await aliases.note(store, name, told)
    former = dict.fromkeys([*known.replaces.split(), known.instance, copy.instance])
    fields = ["instance", secrets.token_hex(8), "schema", str(SCHEMA), "replaces", " ".join(filter(None, former))]
    await store.do("HSET", store.keys.store(), *fields)
    return await identity(store)


async def _take_over(store: Store, copy: PointerFile) -> StoreIdentity:
    """After a restore an empty store is the old one again; another one is named as its successor."""
    known = await identify(store, copy.instance)
    if not copy.instance or known.instance == copy.instance or overruled(known, copy):
        return known
    await store.do("HSET", store.keys.store(), "replaces", f"{known.replaces} {copy.instance}".strip())
    return await identity(store)
