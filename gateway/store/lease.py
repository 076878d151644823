"""Who conducts the rollouts: one lease for the whole store, and the fence that keeps whoever lost it from writing.

Rule of the file: only the store's clock counts. A holder that was away for longer than the lease may have been replaced without
knowing; what it still wants to write is refused by the epoch of the alias, which its successor raised before it acted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.store.client import Store
from gateway.store.scripts import sha

LEASE_MS = 3000
"""A holder that said nothing for so long is replaced. Well below the 10 s for which live workers keep a canary's weight."""

HOLD = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'holder', 'at_ms', 'term')
local holder, at, term = found[1] or '', tonumber(found[2] or '0'), tonumber(found[3] or '0')
if holder ~= ARGV[1] and holder ~= '' and math.abs(ms - at) < tonumber(ARGV[2]) then
  return {'held', term, ms, holder}
end
if holder ~= ARGV[1] then term = term + 1 end
if term <= tonumber(ARGV[3]) then term = tonumber(ARGV[3]) + 1 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'at_ms', string.format('%d', ms), 'term', term)
return {'mine', term, ms, ARGV[1]}
"""
"""Take the lease, or say again that it is ours.

KEYS: control hash. ARGV: holder, lease ms, an epoch that the term must be above (-1 for none).
Reply: `mine` or `held`, term, the store's clock in ms, who holds it.
"""

LEAVE = """
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return {'other'} end
redis.call('HSET', KEYS[1], 'holder', '')
return {'left'}
"""
"""Give the lease back. `at_ms` stays: live workers keep the weights until it is old. KEYS: control hash. ARGV: holder."""

FENCE = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return {'missing', 0} end
if tonumber(epoch) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
  return {'raised', tonumber(ARGV[1])}
end
return {'epoch', tonumber(epoch)}
"""
"""Raise the epoch of an alias, so that writes of earlier holders are refused. Its version stays: nothing changed for the workers.

KEYS: alias hash. ARGV: epoch. Reply: `raised`, `epoch` or `missing`, and the epoch stored then.
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What the store said about the lease."""

    mine: bool
    term: int
    """Rises with each change of hands: the fencing epoch of whoever holds it."""
    now_ms: int
    """The store's clock."""
    holder: str


async def hold(store: Store, holder: str, *, lease_ms: int = LEASE_MS, above: int = -1) -> Held:
    """Take the lease if it is free or was ours, else say who has it. `above` lifts the term over an epoch that is stored.

    Raises Fault when the store cannot be used; then nobody knows, and the caller must not act as the holder.
    """
    word, term, now_ms, who = await store.script(HOLD, sha(HOLD), [store.keys.control()], [holder, lease_ms, above])
    return Held(word == b"mine", int(term), int(now_ms), who.decode())


async def leave(store: Store, holder: str) -> None:
    """Let another process take over at once. Harmless when the lease is somebody else's."""
    await store.script(LEAVE, sha(LEAVE), [store.keys.control()], [holder])


async def fence(store: Store, names: Sequence[str], epoch: int) -> int:
    """Raise the epoch of these aliases; returns the highest that is stored then. Above `epoch`, the caller was replaced."""
    highest = epoch
    for name in names:
        _, stored = await store.script(FENCE, sha(FENCE), [store.keys.alias(name)], [epoch])
        highest = max(highest, int(stored))
    return highest


async def heard_ms(store: Store) -> tuple[int, str]:
    """Milliseconds since a conductor last said that it is there, and its name; -1 when there never was one."""
    clock, found = await store.read_many([("TIME",), ("HMGET", store.keys.control(), "at_ms", "holder")])
    if found[0] is None:
        return -1, ""
    now_ms = int(clock[0]) * 1000 + int(clock[1]) // 1000
    return max(now_ms - int(found[0]), 0), (found[1] or b"").decode()
