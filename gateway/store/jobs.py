"""The queue of the shadow: a stream with one consumer group, read by any number of workers on any machine.

Rule of the file: a job leaves the stream only together with its result. Delivered to a worker that died it comes back to another;
delivered twice it still has one result, because the pair id decides (`store.pairs`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.core.contract.fault import Fault
from gateway.core.contract.job import Job
from gateway.store.client import Store

GROUP = "shadow"
LIFE_MS = 3_600_000
"""A job older than this is not worked on any more: its ttl is an hour (DESIGN section 7)."""

RECLAIM = """
local found, ask = {}, {'XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4]}
if ARGV[5] ~= '' then ask[#ask + 1] = ARGV[5] end
local held = {}
for at = 6, #ARGV do held[ARGV[at]] = true end
for _, pending in ipairs(redis.call(unpack(ask))) do
  if not held[pending[1]] then
    local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], pending[1])
    local entry = claimed[1]
    found[#found + 1] = {pending[1], pending[4] + 1, entry and entry[2] or {}}
  end
end
return found
"""
"""Take over what others have not finished. KEYS: jobs. ARGV: group, consumer, idle ms, count, the consumer whose jobs these
are, empty for everybody's, and entries to leave alone. Reply: id, deliveries, fields of each; no fields where the entry is gone, which newer servers then forget by themselves."""


HOLD = "return redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')"
"""Claim a job again without counting a delivery. KEYS: jobs. ARGV: group, consumer, entry id."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A job in a worker's hands."""

    id: str
    """Entry id in the stream."""
    job: Job | None
    """None when the entry is gone or cannot be read: there is nothing to do but to acknowledge it."""
    body: bytes
    """The client's own request body."""
    reply: bytes
    """The provider's answer as it was relayed."""
    deliveries: int = 1
    """How often the job was handed out, this time included."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the queue is."""

    jobs: int
    """Waiting and in hand."""
    oldest_ms: int
    """Time of the oldest job, milliseconds since the epoch; 0 when there is none."""


async def prepare(store: Store) -> None:
    """Make the group, and the stream with it, unless they are there. A group that was deleted starts from the oldest job."""
    try:
        await store.do("XGROUP", "CREATE", store.keys.shadow_jobs(), GROUP, "0", "MKSTREAM")
    except Fault as fault:
        if not fault.message.endswith("BUSYGROUP"):
            raise


async def take(store: Store, consumer: str, count: int, wait_ms: int) -> list[Delivery]:
    """Up to `count` jobs nobody has had yet; waits for one up to `wait_ms`, below the read limit of the store."""
    key = store.keys.shadow_jobs()
    command = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "BLOCK", wait_ms, "STREAMS", key, ">")
    answer = await _again(store, command)
    return [_delivery(entry, 1) for _, entries in _streams(answer) for entry in entries]


async def reclaim(store: Store, consumer: str, count: int, idle_ms: int, held: Collection[str] = ()) -> list[Delivery]:
    """Up to `count` jobs that their worker has not finished for `idle_ms`: it died, or hangs. They are now this consumer's.
    Entries that are `held` by the caller stay as they are."""
    command: list[str | bytes | float] = [
        "EVAL",
        RECLAIM,
        1,
        store.keys.shadow_jobs(),
        GROUP,
        consumer,
        idle_ms,
        count,
        "",
        *held,
    ]
    return [_delivery((entry, fields), int(times)) for entry, times, fields in await _again(store, command)]


async def left(store: Store, consumer: str, count: int, held: Collection[str] = ()) -> list[Delivery]:
    """Up to `count` jobs of this very name that are not `held`: an earlier process did not finish them, or the answer that brought
    them was lost. Nobody has to wait for them."""
    command: list[str | bytes | float] = [
        "EVAL",
        RECLAIM,
        1,
        store.keys.shadow_jobs(),
        GROUP,
        consumer,
        0,
        count,
        consumer,
        *held,
    ]
    return [_delivery((entry, fields), int(times)) for entry, times, fields in await _again(store, command)]


async def hold(store: Store, consumer: str, identifier: str) -> None:
    """Say that a job is still worked on, so that nobody takes it for abandoned; this counts as no delivery."""
    await store.read("EVAL", HOLD, 1, store.keys.shadow_jobs(), GROUP, consumer, identifier)


async def drop_stale(store: Store, now_ms: int) -> int:
    """Take out the jobs that are too old to be worked on; how many there were. For when nobody takes any: no body of a
    client's stays longer than that, worker or none."""
    return int(await store.read("XTRIM", store.keys.shadow_jobs(), "MINID", now_ms - LIFE_MS))


async def done(store: Store, ids: Sequence[str]) -> None:
    """These jobs have their results: take them out."""
    if ids:
        key = store.keys.shadow_jobs()
        await store.read_many([("XACK", key, GROUP, *ids), ("XDEL", key, *ids)])


async def depth(store: Store) -> Depth:
    """How many jobs there are, and how old the oldest is."""
    key = store.keys.shadow_jobs()
    length, first = await store.read_many([("XLEN", key), ("XRANGE", key, "-", "+", "COUNT", 1)])
    return Depth(int(length), int(first[0][0].split(b"-")[0]) if first else 0)


async def _again(store: Store, command: Sequence[str | bytes | float]) -> Any:
    """A command on the group, once more when somebody deleted the group (faults.md F10)."""
    try:
        return await store.read(*command)
    except Fault as fault:
        if not fault.message.endswith("NOGROUP"):
            raise
    await prepare(store)
    return await store.read(*command)


def _streams(answer: Any) -> list[tuple[bytes, list[Any]]]:
    """Streams of an XREADGROUP, as RESP2 (list) or RESP3 (map) tells them."""
    if isinstance(answer, dict):
        return [
            (name, entries[0] if entries and isinstance(entries[0], list) else entries)
            for name, entries in answer.items()
        ]
    return list(answer or ())


def _delivery(entry: Any, deliveries: int) -> Delivery:
    identifier, given = entry
    fields = _fields(given)
    try:
        job = msgspec.json.decode(fields[b"job"], type=Job)
    except (KeyError, msgspec.MsgspecError):
        job = None
    return Delivery(identifier.decode(), job, fields.get(b"body", b""), fields.get(b"reply", b""), deliveries)


def _fields(given: Any) -> Mapping[bytes, bytes]:
    if isinstance(given, dict):
        return given
    flat = list(given or ())
    return dict(zip(flat[::2], flat[1::2], strict=False))
