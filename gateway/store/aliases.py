"""Aliases as the control side reads and writes them: one compare-and-set per write, with its history entry and its news.

Rule of the file: a pointer write is applied once or not at all. When the answer is lost, the history tells which:
every write carries an operation id, so sending it again can neither double it nor undo what came after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import HistoryEntry
from gateway.store.client import Store
from gateway.store.history import history_entry, history_values
from gateway.store.records import alias_fields, alias_state
from gateway.store.scripts import CREATE_ALIAS, WRITE_POINTER, sha

LIFT = """
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version >= tonumber(ARGV[1]) then return {'newer', version} end
local stop = 4 + tonumber(ARGV[4])
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
redis.call('DEL', KEYS[1])
for at = stop + 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
if epoch > tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') then redis.call('HSET', KEYS[1], 'epoch', epoch) end
local entry = {'version', ARGV[1]}
for at = 5, stop do entry[#entry + 1] = ARGV[at] end
redis.call('XADD', KEYS[2], '*', unpack(entry))
redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' ' .. ARGV[1])
return {'ok', tonumber(ARGV[1])}
"""
"""Put a state of a known higher version in place: a restore, or an override that was made while the store was dead. The epoch never
goes back: whoever lost the lease meanwhile stays fenced out.

KEYS: alias hash, history. ARGV: version, channel, alias name, number n of history values, history fields and values, hash
fields and values. Reply: `ok` or `newer`, and the version stored then.
"""

UNKNOWN_FATE = frozenset({"store_timeout", "store_unavailable"})
"""Faults after which a write may have been made all the same."""
ATTEMPTS = 3
"""Times one write is sent; only the first that arrives counts."""


class PointerMoved(Fault):
    """Somebody else wrote the alias first; `stored` is the version that is there now. Nothing was written."""

    def __init__(self, name: str, expected: int, stored: int) -> None:
        super().__init__(
            Kind.CONFLICT,
            "pointer_moved",
            f"alias {name} is at version {stored}, not {expected}: somebody changed it meanwhile. "
            "Look at `trivet alias history` and decide again.",
        )
        self.stored = stored


async def names(store: Store) -> list[str]:
    """Names of all aliases, sorted. A name whose hash is gone is among them."""
    return sorted(name.decode() for name in await store.read("SMEMBERS", store.keys.aliases()))


async def get(store: Store, name: str) -> AliasState | None:
    """The state of one alias; None when the store does not know it."""
    return _state(name, await store.do("HGETALL", store.keys.alias(name)))


async def every(store: Store) -> dict[str, AliasState]:
    """All aliases by name, sorted."""
    known = await names(store)
    answers = await store.read_many([("HGETALL", store.keys.alias(name)) for name in known])
    states = {name: _state(name, answer) for name, answer in zip(known, answers, strict=True)}
    return {name: state for name, state in states.items() if state is not None}


async def write(
    store: Store, before: AliasState, after: AliasState, entry: HistoryEntry, *, epoch: int | None = None
) -> AliasState:
    """Replace `before` by `after` if the store still has `before.version`; returns the state as stored.

    `entry` says who and why and must carry an `operation`; its versions and states are set here. `epoch` is the fencing
    epoch of a control process that holds the lease; None for a person's order, which needs no lease.
    Raises PointerMoved when somebody was first, Fault `fenced` for an old epoch, Fault when the store cannot be used.
    """
    stored = msgspec.structs.replace(
        after, version=before.version + 1, epoch=before.epoch if epoch is None else max(epoch, before.epoch)
    )
    record = history_values(_filled(entry, before, stored))
    arguments: list[str | bytes | int] = [
        before.version,
        "" if epoch is None else epoch,
        store.keys.pointers(),
        after.name,
        len(record),
        *record,
        *_flat(alias_fields(stored)),
    ]
    keys = [store.keys.alias(after.name), store.keys.history(after.name)]
    for attempt in range(ATTEMPTS):
        try:
            word, number, *_ = await store.script(WRITE_POINTER, sha(WRITE_POINTER), keys, arguments)
        except Fault as fault:
            if fault.code not in UNKNOWN_FATE or attempt == ATTEMPTS - 1:
                raise
            continue
        if word == b"ok" or (word == b"version" and attempt and await _applied(store, after.name, entry.operation)):
            return stored
        if word == b"epoch":
            raise Fault(
                Kind.CONFLICT,
                "fenced",
                f"alias {after.name}: a newer control process (epoch {number}) has taken over; this one steps back.",
            )
        if word == b"missing":
            raise Fault(
                Kind.CONFLICT,
                "alias_gone",
                f"alias {after.name} is not in the store any more; `trivet store` tells whether the store was emptied.",
            )
        raise PointerMoved(after.name, before.version, number)
    raise AssertionError("unreachable")


async def create(store: Store, state: AliasState, entry: HistoryEntry) -> bool:
    """Make an alias nobody knows; False when the store knows it already, and then nothing was written.

    Its releases must be stored before. The version of `state` is kept (a restore), at least 1.
    """
    await store.do("SADD", store.keys.aliases(), state.name)
    stored = msgspec.structs.replace(state, version=max(state.version, 1))
    record = history_values(_filled(entry, None, stored))
    arguments: list[str | bytes | int] = [
        store.keys.pointers(),
        state.name,
        len(record),
        *record,
        *_flat(alias_fields(stored)),
    ]
    return await _written(store, CREATE_ALIAS, state.name, arguments, entry.operation)


async def lift(store: Store, before: AliasState | None, after: AliasState, entry: HistoryEntry) -> bool:
    """Store `after` with its own version if that is above the store's; False when the store is as new or newer.

    `before` is only told in the history. Its releases must be stored before.
    """
    await store.do("SADD", store.keys.aliases(), after.name)
    record = history_values(_filled(entry, before, after))
    arguments: list[str | bytes | int] = [
        after.version,
        store.keys.pointers(),
        after.name,
        len(record),
        *record,
        *_flat(alias_fields(after)),
    ]
    return await _written(store, LIFT, after.name, arguments, entry.operation)


async def history(store: Store, name: str, limit: int = 100, *, since_ms: int = 0) -> list[HistoryEntry]:
    """The last `limit` entries of an alias, newest first; with `since_ms` those written since then by the store's clock."""
    oldest = str(since_ms) if since_ms else "-"
    answer = await store.read("XREVRANGE", store.keys.history(name), "+", oldest, "COUNT", limit)
    return [history_entry(identifier.decode(), _text(fields)) for identifier, fields in answer]


async def history_after(store: Store, name: str, identifier: str, limit: int = 100) -> list[HistoryEntry]:
    """The first `limit` entries of an alias that are newer than the one with this stream id, oldest first."""
    answer = await store.read("XRANGE", store.keys.history(name), f"({identifier}", "+", "COUNT", limit)
    return [history_entry(found.decode(), _text(fields)) for found, fields in answer]


async def told(store: Store) -> dict[str, str]:
    """`WEBHOOK ALIAS` to the newest history entry that the webhook was told of."""
    return _text(await store.do("HGETALL", store.keys.webhooks()))


async def tell(store: Store, place: str, identifier: str) -> None:
    """Keep that a webhook was told of an alias's history up to an entry."""
    await store.do("HSET", store.keys.webhooks(), place, identifier)


async def note(store: Store, name: str, entry: HistoryEntry) -> None:
    """Add to the history what moved no pointer: a refusal, a bootstrap. Sent once; not idempotent."""
    values = ["version", str(entry.version), *history_values(entry)]
    await store.do("XADD", store.keys.history(name), "*", *values)


async def _written(store: Store, script: str, name: str, arguments: list[str | bytes | int], operation: str) -> bool:
    """Run a script that writes an alias or declines; sent again while nobody can say whether it was run."""
    keys = [store.keys.alias(name), store.keys.history(name)]
    for attempt in range(ATTEMPTS):
        try:
            word, *_ = await store.script(script, sha(script), keys, arguments)
        except Fault as fault:
            if fault.code not in UNKNOWN_FATE or attempt == ATTEMPTS - 1:
                raise
            continue
        return bool(word == b"ok") or (attempt > 0 and await _applied(store, name, operation))
    raise AssertionError("unreachable")


async def _applied(store: Store, name: str, operation: str) -> bool:
    """Whether an operation of this id is among the last writes: its answer was lost, not the write."""
    return any(entry.operation == operation for entry in await history(store, name, 20))


def _filled(entry: HistoryEntry, before: AliasState | None, after: AliasState) -> HistoryEntry:
    return msgspec.structs.replace(entry, version=after.version, before=before, after=after)


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _state(name: str, fields: Mapping[bytes, bytes]) -> AliasState | None:
    if not fields or b"version" not in fields:
        return None
    try:
        return alias_state(_text(fields))
    except ValueError as error:
        raise Fault(
            Kind.INTERNAL,
            "alias_unreadable",
            f"alias {name}: its hash in the store is not one this version can read. "
            "Was it written by hand, or by a newer version?",
        ) from error


def _text(fields: Mapping[Any, Any]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in fields.items()}
