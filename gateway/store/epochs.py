"""Drift epochs of snapshots as the control side reads and writes them, in the snapshot's hash beside what others keep there.

Fields: `epoch` and `observed` (both JSON, for readers), `identity` (JSON, what the sentinel needs besides) and `rev`, which every
write raises. Rule of the file: a write is applied over what was read or not at all, and a note stands in a history once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.sentinel import Epoch, Identity, Sighted, Watched
from gateway.store.client import Store
from gateway.store.history import history_values
from gateway.store.scripts import sha

READ = 1000
"""Entries of the stream that are read at once."""
ATTEMPTS = 5

SAVE = """
local rev = tonumber(redis.call('HGET', KEYS[1], 'rev') or '0')
if rev ~= tonumber(ARGV[1]) then return {'moved', rev} end
redis.call('HSET', KEYS[1], 'rev', rev + 1, 'epoch', ARGV[2], 'observed', ARGV[3], 'identity', ARGV[4])
return {'ok', rev + 1}
"""
"""Write what is known of a snapshot's identity if nobody did meanwhile.

KEYS: snapshot hash. ARGV: rev read, epoch, observed, the rest. Reply: `ok` or `moved`, and the rev stored then.
"""

NOTE = """
for _, found in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 200)) do
  for at = 1, #found[2], 2 do
    if found[2][at] == 'operation' and found[2][at + 1] == ARGV[1] then return 0 end
  end
end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
return 1
"""
"""Add an entry to a history unless one of the last 200 has its operation. KEYS: history. ARGV: operation, fields and values."""


class Kept(msgspec.Struct, frozen=True):
    """What is stored of a snapshot, and which write of it was read."""

    watched: Watched = Watched()
    rev: int = 0


async def load(store: Store, snapshots: Iterable[str], *, strict: bool = True) -> dict[str, Kept]:
    """What is kept of these snapshots; the first epoch for one that nothing is known of.

    Raises Fault `snapshot_unreadable`; without `strict` such a one is left out.
    """
    wanted = list(dict.fromkeys(snapshots))
    names = ("epoch", "observed", "identity", "rev")
    answers = await store.read_many([("HMGET", store.keys.snapshot(each), *names) for each in wanted])
    found: dict[str, Kept] = {}
    for snapshot, answer in zip(wanted, answers, strict=True):
        try:
            found[snapshot] = _kept(snapshot, answer)
        except Fault:
            if strict:
                raise
    return found


async def numbers(store: Store, snapshots: Iterable[str], since_ms: int | None = None) -> dict[str, int]:
    """Epochs by snapshot, with `since_ms` only those that had begun by then; one in its first epoch is left out. Raises Fault."""
    found = {snapshot: kept.watched.epoch for snapshot, kept in (await load(store, snapshots)).items()}
    return {
        snapshot: epoch.number
        for snapshot, epoch in found.items()
        if epoch.number > 1 and (since_ms is None or epoch.since_ms <= since_ms)
    }


async def save(store: Store, snapshot: str, kept: Kept, after: Watched) -> bool:
    """Write `after` over what was read; False when somebody else wrote meanwhile, and nothing was written."""
    rest = msgspec.structs.replace(after, epoch=Epoch(), observed={})
    values = [msgspec.json.encode(each) for each in (after.epoch, after.observed, rest)]
    word, _ = await store.script(SAVE, sha(SAVE), [store.keys.snapshot(snapshot)], [kept.rev, *values])
    return bool(word == b"ok")


async def change(store: Store, snapshot: str, make: Callable[[Watched], Watched | None]) -> Watched | None:
    """Read, make anew and write until nobody was in between; what was written. None when `make` wants nothing written.

    Raises Fault 409 `snapshot_busy`.
    """
    for _ in range(ATTEMPTS):
        kept = (await load(store, (snapshot,)))[snapshot]
        after = make(kept.watched)
        if after is None:
            return None
        if await save(store, snapshot, kept, after):
            return after
    message = f"what is known of {snapshot} is being changed all the time; try again"
    raise Fault(Kind.CONFLICT, "snapshot_busy", message, retry=True)


async def identities(store: Store, after: str) -> list[tuple[str, Identity]]:
    """The next entries of the stream after an id, oldest first. What this version cannot read names no snapshot."""
    found = []
    for identifier, fields in await store.read("XRANGE", store.keys.identities(), f"({after}", "+", "COUNT", READ):
        try:
            said = msgspec.json.decode(_pairs(fields).get(b"entry", b""), type=Identity)
        except msgspec.MsgspecError:
            said = Identity("", "", "", "", "", "", 0)
        found.append((identifier.decode(), said))
    return found


async def note(store: Store, alias: str, entry: HistoryEntry) -> bool:
    """Add to an alias's history what moved no pointer, once per `operation`; False when it stands there already."""
    values = ["version", str(entry.version), *history_values(entry)]
    return bool(await store.script(NOTE, sha(NOTE), [store.keys.history(alias)], [entry.operation, *values]))


def later(one: str, other: str) -> bool:
    """Whether stream id `one` is later than `other`."""
    return _number(one) > _number(other)


def _number(identifier: str) -> tuple[int, int]:
    stamp, _, number = identifier.partition("-")
    return int(stamp or 0), int(number or 0)


def _kept(snapshot: str, answer: list[bytes | None]) -> Kept:
    epoch, observed, identity, rev = answer
    try:
        rest = msgspec.json.decode(identity or b"{}", type=Watched)
        told = msgspec.json.decode(epoch or b"{}", type=Epoch)
        seen = msgspec.json.decode(observed or b"{}", type=dict[str, Sighted])
    except msgspec.MsgspecError as error:
        message = f"what the store has of snapshot {snapshot} is not what this version can read"
        raise Fault(Kind.INTERNAL, "snapshot_unreadable", message) from error
    return Kept(msgspec.structs.replace(rest, epoch=told, observed=seen), int(rev or 0))


def _pairs(fields: Any) -> Mapping[bytes, bytes]:
    """Fields of a stream entry, as redis-py gives them in either protocol."""
    return fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
