"""Live workers as the store sees them: heartbeats, and which version of an alias each one binds by.

Rule of the file: a worker counts as following only when its own heartbeat says so, and one that stays silent is named.
Heartbeats are dated by the store's clock, and so is their age.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import msgspec

from gateway.core.contract.fault import Fault
from gateway.core.contract.records import Acknowledgement, WorkerBeat
from gateway.store.client import Store
from gateway.store.records import Beat

ALIVE_SECONDS = 10.0
"""A worker whose last sign of life is older is not waited for: by then its lease on a canary weight has ended too."""
FORGET_SECONDS = 3600.0
"""Until then a worker that went away without goodbye is named as silent; later it is forgotten."""
POLL_SECONDS = 0.01


async def beats(store: Store) -> tuple[int, dict[str, Beat]]:
    """The store's clock in milliseconds, and the last heartbeat of every live worker not yet forgotten."""
    clock, fields = await store.read_many([("TIME",), ("HGETALL", store.keys.workers())])
    now = _milliseconds(clock)
    found: dict[str, Beat] = {}
    for worker, data in fields.items():
        beat = _beat(data)
        if beat is not None and beat.role == "live" and now - beat.at_ms < FORGET_SECONDS * 1000:
            found[worker.decode()] = beat
    return now, found


async def listed(store: Store, versions: Mapping[str, int]) -> list[WorkerBeat]:
    """Every worker with how many of the given aliases it serves at an older version."""
    now, found = await beats(store)
    return [
        WorkerBeat(
            worker=worker,
            at_ms=beat.at_ms,
            alive=alive(now, beat),
            versions=beat.versions,
            behind=sum(beat.versions.get(alias, 0) < version for alias, version in versions.items()),
        )
        for worker, beat in sorted(found.items())
    ]


async def acknowledged(
    store: Store, alias: str, version: int, timeout: float = 2.0, *, since: float | None = None
) -> Acknowledgement:
    """Wait until every live worker binds by `version` of the alias or a later one, at most `timeout` seconds.

    Milliseconds count from `since` (anyio.current_time, by default now) to when this side saw the heartbeat, so they are
    never too low. Whoever did not say so in time, or has not been heard of for ALIVE_SECONDS, is in `silent`.
    A store that goes away meanwhile does not raise: what was not heard is silent.
    """
    start = anyio.current_time() if since is None else since
    followed: dict[str, float] = {}
    found: dict[str, Beat] = {}
    while True:
        try:
            now, found = await beats(store)
        except Fault:
            now = 0
        at = (anyio.current_time() - start) * 1000
        for worker, beat in found.items():
            if beat.versions.get(alias, 0) >= version:
                followed.setdefault(worker, round(at, 1))
        waited_for = [w for w, beat in found.items() if w not in followed and alive(now, beat)]
        if (now and not waited_for) or at > timeout * 1000:
            break
        await anyio.sleep(POLL_SECONDS)
    silent = tuple(sorted(worker for worker in found if worker not in followed))
    return Acknowledgement(version=version, milliseconds=dict(sorted(followed.items())), silent=silent)


async def sweep(store: Store) -> int:
    """Drop heartbeats of workers that are long gone; how many. For the background process, once a minute."""
    clock, fields = await store.read_many([("TIME",), ("HGETALL", store.keys.workers())])
    now = _milliseconds(clock)
    gone: list[bytes] = []
    for worker, data in fields.items():
        beat = _beat(data)
        if beat is None or now - beat.at_ms >= FORGET_SECONDS * 1000:
            gone.append(worker)
    if gone:
        await store.do("HDEL", store.keys.workers(), *gone)
    return len(gone)


def alive(now: int, beat: Beat) -> bool:
    """Whether a worker gave a sign of life within ALIVE_SECONDS of the store's clock."""
    return now - beat.at_ms < ALIVE_SECONDS * 1000


def _milliseconds(clock: object) -> int:
    """The answer of TIME, as [seconds, microseconds] of whatever type the client library makes of it."""
    assert isinstance(clock, list | tuple)
    return int(clock[0]) * 1000 + int(clock[1]) // 1000


def _beat(data: bytes) -> Beat | None:
    try:
        return msgspec.json.decode(data, type=Beat)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
