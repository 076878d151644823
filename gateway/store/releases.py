"""Releases and their artifacts. Both are addressed by what they hold, so storing one twice changes nothing.

Rule of the file: a stored triple never changes. Only `blocked` and `drifted` do, and by compare-and-set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Release
from gateway.store.client import Store
from gateway.store.records import decode_release, encode_release
from gateway.store.scripts import sha

SWAP = """
local stored = redis.call('GET', KEYS[1])
if stored == ARGV[2] then return 1 end
if stored ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
"""Replace a string if it is still what was read. KEYS: the string. ARGV: before, after. Reply: 1 when `after` is stored."""


async def put(store: Store, release: Release, artifacts: Mapping[str, bytes] | None = None) -> bool:
    """Store a release and the artifacts it needs, by digest; artifacts first. False when it was stored before."""
    for digest, data in (artifacts or {}).items():
        await store.do("SET", store.keys.artifact(digest), data, "NX")
    made = await store.do("SET", store.keys.release(release.id), encode_release(release), "NX")
    await store.do("ZADD", store.keys.releases(), "NX", release.created_ms, release.id)
    return bool(made)


async def get(store: Store, release: str) -> Release | None:
    """One release; None when the store does not have it."""
    return _read(release, await store.do("GET", store.keys.release(release)))


async def many(store: Store, ids: Iterable[str]) -> dict[str, Release]:
    """Releases by id, those that the store has."""
    wanted = list(dict.fromkeys(ids))
    answers = await store.read_many([("GET", store.keys.release(release)) for release in wanted])
    found = {release: _read(release, answer) for release, answer in zip(wanted, answers, strict=True)}
    return {release: value for release, value in found.items() if value is not None}


async def newest(store: Store, limit: int = 1000) -> list[Release]:
    """Releases, newest first."""
    ids = await store.read("ZREVRANGE", store.keys.releases(), 0, limit - 1)
    return list((await many(store, [release.decode() for release in ids])).values())


async def artifact(store: Store, digest: str) -> bytes | None:
    """Canonical bytes of a prompt or toolset; None when the store does not have it."""
    data: bytes | None = await store.read("GET", store.keys.artifact(digest))
    return data


async def block(store: Store, release: str, reason: str) -> tuple[Release, bool]:
    """Set why runs of a release are stopped; an empty reason lifts it. The release as stored, and whether this changed it.

    Workers are told by a message (`REL 0` on the pointers channel), also when nothing changed: it may have been lost before.
    Raises Fault `release_unknown`, or `release_busy` when others keep changing it.
    """
    return await _set(store, release, "blocked", reason)


async def mark(store: Store, release: str, drifted: str) -> bool:
    """Set the drift epoch of a release, empty for none, and tell the workers; whether this changed it. Raises Fault as `block`."""
    return (await _set(store, release, "drifted", drifted))[1]


async def _set(store: Store, release: str, member: str, value: str) -> tuple[Release, bool]:
    for _ in range(5):
        data: bytes | None = await store.do("GET", store.keys.release(release))
        before = _read(release, data)
        if before is None or data is None:
            raise unknown(release)
        if getattr(before, member) == value:
            await _tell(store, release)
            return before, False
        after = msgspec.structs.replace(before, **{member: value})
        if await store.script(SWAP, sha(SWAP), [store.keys.release(release)], [data, encode_release(after)]):
            await _tell(store, release)
            return after, True
    raise Fault(Kind.CONFLICT, "release_busy", f"release {release} is being changed by others; try again", retry=True)


async def _tell(store: Store, release: str) -> None:
    await store.do("PUBLISH", store.keys.pointers(), f"{release} 0")


def unknown(release: str) -> Fault:
    """The store does not have this release."""
    return Fault(Kind.NOT_FOUND, "release_unknown", f"there is no release {release}; `trivet release list` shows them")


def _read(release: str, data: bytes | None) -> Release | None:
    if data is None:
        return None
    try:
        return decode_release(data)
    except ValueError as error:
        raise Fault(
            Kind.INTERNAL,
            "release_unreadable",
            f"release {release}: its record in the store is not one this version can read",
        ) from error
