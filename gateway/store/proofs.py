"""What is kept of the calls that the gateway makes by itself: the proof of each release, and what all of them took today.

Rule of the file: money and calls are counted when they were made, over every process of a store; a proof that this version cannot
read is no proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from gateway.core.contract.sentinel import Callable
from gateway.store.client import Store
from gateway.store.scripts import sha

KEPT_MS = 3 * 86_400_000
"""How long the count of a day is kept."""

TAKE = """
local calls = tonumber(redis.call('HGET', KEYS[1], 'calls') or '0')
local spent = tonumber(redis.call('HGET', KEYS[1], 'micro') or '0')
if calls + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return 'calls' end
if tonumber(ARGV[3]) > 0 and spent >= tonumber(ARGV[3]) then return 'budget' end
redis.call('HINCRBY', KEYS[1], 'calls', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'ok'
"""
"""Take a number of calls of a day. KEYS: the day. ARGV: calls, calls of a day, micro-USD of a day (0: no limit), ttl ms.
Reply: `ok`, or the limit that is reached."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What all probes of a store may take in a UTC day."""

    calls: int
    micro: int
    """Millionths of a US dollar; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What they took of a day."""

    calls: int = 0
    micro: int = 0
    unpriced: int = 0
    """Calls of which nobody knows the price."""


async def get(store: Store, releases: Iterable[str]) -> dict[str, Callable]:
    """The proofs of these releases, as they were written: whoever reads them says how old is too old."""
    wanted = list(dict.fromkeys(releases))
    if not wanted:
        return {}
    answers = await store.do("HMGET", store.keys.proofs(), *wanted)
    return {name: found for name, data in zip(wanted, answers, strict=True) if (found := _read(data)) is not None}


async def put(store: Store, found: Iterable[Callable]) -> None:
    """Keep proofs."""
    fields = [part for each in found for part in (each.release, msgspec.json.encode(each))]
    if fields:
        await store.do("HSET", store.keys.proofs(), *fields)


async def keep_only(store: Store, releases: Iterable[str]) -> None:
    """Drop the proofs of releases that no alias names any more."""
    names = set(releases)
    gone = [name for name in await store.read("HKEYS", store.keys.proofs()) if name.decode() not in names]
    if gone:
        await store.do("HDEL", store.keys.proofs(), *gone)


async def take(store: Store, limits: Limits, calls: int, now_ms: int) -> str:
    """Take so many calls of today's; empty when they may be made, else the limit that is reached: `calls` or `budget`."""
    key = store.keys.probe_spend(day(now_ms))
    word = await store.script(TAKE, sha(TAKE), [key], [calls, limits.calls, limits.micro, KEPT_MS])
    return "" if word == b"ok" else str(word.decode())


async def spent(store: Store, micro: int | None, now_ms: int) -> None:
    """Count what a call cost; None where no price is known."""
    if micro != 0:
        name, amount = ("unpriced", 1) if micro is None else ("micro", micro)
        await store.do("HINCRBY", store.keys.probe_spend(day(now_ms)), name, amount)


async def taken(store: Store, now_ms: int) -> Taken:
    """What probes took of the day of `now_ms`."""
    answers = await store.do("HMGET", store.keys.probe_spend(day(now_ms)), "calls", "micro", "unpriced")
    return Taken(*(int(each or 0) for each in answers))


def day(now_ms: int) -> str:
    """The UTC day of a moment, YYYY-MM-DD."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d")


def _read(data: bytes | None) -> Callable | None:
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Callable)
    except msgspec.DecodeError:
        return None
