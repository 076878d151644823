"""Workers as the store sees them: heartbeats of an alias's version, delayed as told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec

from gateway.control.desk import Desk
from gateway.store import aliases
from gateway.store.records import Beat
from gateway.store.scripts import HEARTBEAT, sha


@asynccontextmanager
async def beating(desk: Desk, worker: str, *, after: float, alias: str = "agent") -> AsyncIterator[None]:
    """A worker that takes `after` seconds to follow a new version of the alias."""
    state = await desk.alias(alias)
    await beat(desk, worker, {alias: state.version})

    async def follow() -> None:
        served, seen, seen_at = state.version, state.version, 0.0
        while True:
            now = await aliases.get(desk.store, alias)
            assert now is not None
            if now.version != seen:
                seen, seen_at = now.version, time.monotonic()
            if seen != served and time.monotonic() - seen_at >= after:
                served = seen
            await beat(desk, worker, {alias: served})
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await anyio.sleep(0.02)
        yield
        group.cancel_scope.cancel()


async def beat(desk: Desk, worker: str, versions: dict[str, int]) -> None:
    """One heartbeat, as a live worker writes it."""
    rest = msgspec.json.encode(Beat(at_ms=0, host="here", pid=1, versions=versions)).decode().partition(",")[2]
    await desk.store.script(HEARTBEAT, sha(HEARTBEAT), [desk.store.keys.workers()], [worker, rest])
