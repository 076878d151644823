"""What is kept of a snapshot: when its provider says that it retires, when it was asked, and who was warned of it.

Rule of the file: one hash per snapshot, every field written by one room alone, so nobody overwrites what another one learnt.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.contract.sentinel import Retirement
from gateway.store.client import Store

RETIREMENT = "retirement"
LOOKED = "looked"
WARNED = "warned:"

_decode = msgspec.json.Decoder(Retirement).decode


async def retirements(store: Store, snapshots: Sequence[str]) -> dict[str, Retirement]:
    """What their providers said, by snapshot; missing where none did, or where it was written by a version that cannot be read."""
    answers = await store.read_many([("HGET", store.keys.snapshot(each), RETIREMENT) for each in snapshots])
    found = {}
    for snapshot, answer in zip(snapshots, answers, strict=True):
        if answer is None:
            continue
        try:
            found[snapshot] = _decode(answer)
        except msgspec.DecodeError:
            continue
    return found


async def say(store: Store, said: Retirement) -> None:
    """Keep what a provider says; it stays until the provider says something else."""
    await store.do("HSET", store.keys.snapshot(said.snapshot), RETIREMENT, msgspec.json.encode(said))


async def looked(store: Store, snapshots: Sequence[str]) -> dict[str, tuple[int, str]]:
    """When each was asked last, wall clock in milliseconds, and what came of it in a word; (0, "") for never."""
    answers = await store.read_many([("HGET", store.keys.snapshot(each), LOOKED) for each in snapshots])
    return {snapshot: _look(answer) for snapshot, answer in zip(snapshots, answers, strict=True)}


async def look(store: Store, snapshot: str, at_ms: int, result: str) -> None:
    """Keep that a snapshot's provider was asked, and what came of it in a word."""
    await store.do("HSET", store.keys.snapshot(snapshot), LOOKED, f"{at_ms} {result}")


async def warned(store: Store, snapshot: str, alias: str) -> tuple[str, int]:
    """The retirement an alias was warned of last, YYYY-MM-DD, and at how many days; ("", 0) for never."""
    answer = await store.do("HGET", store.keys.snapshot(snapshot), WARNED + alias)
    date, _, days = (answer or b"").decode().partition(" ")
    return (date, int(days)) if days.isdecimal() else ("", 0)


async def warn(store: Store, snapshot: str, alias: str, date: str, days: int) -> None:
    """Keep that an alias was warned of a retirement at so many days."""
    await store.do("HSET", store.keys.snapshot(snapshot), WARNED + alias, f"{date} {days}")


def _look(answer: bytes | None) -> tuple[int, str]:
    at, _, word = (answer or b"").decode().partition(" ")
    return (int(at), word) if at.isdecimal() else (0, "")
