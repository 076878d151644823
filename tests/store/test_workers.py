"""Workers as the store sees them."""

from __future__ import annotations

import time

import anyio
import pytest

from gateway.store.client import Store
from gateway.store.scripts import HEARTBEAT, sha
from gateway.store.workers import acknowledged, beats, listed, sweep

pytestmark = pytest.mark.anyio


async def beat(store: Store, worker: str, version: int) -> None:
    """A heartbeat as a live worker writes it."""
    rest = f'"host":"h","pid":1,"role":"live","versions":{{"agent":{version}}}}}'
    await store.script(HEARTBEAT, sha(HEARTBEAT), [store.keys.workers()], [worker, rest])


async def old_beat(store: Store, worker: str, seconds: int) -> None:
    """A heartbeat from some time ago."""
    clock = await store.do("TIME")
    at_ms = int(clock[0]) * 1000 - seconds * 1000
    await store.do("HSET", store.keys.workers(), worker, f'{{"at_ms":{at_ms},"versions":{{"agent":1}}}}')


async def test_times_each_worker(store: Store) -> None:
    """Milliseconds are from the start to when each worker's own heartbeat says so."""
    await beat(store, "w1", 2)
    await beat(store, "w2", 1)

    async def later() -> None:
        await anyio.sleep(0.1)
        await beat(store, "w2", 3)

    async with anyio.create_task_group() as group:
        group.start_soon(later)
        heard = await acknowledged(store, "agent", 2, 2.0)
    assert heard.silent == ()
    assert heard.milliseconds["w1"] < 50
    assert 90 < heard.milliseconds["w2"] < 500


async def test_long_silent_worker_is_named_and_not_waited_for(store: Store) -> None:
    """A worker without a sign of life for 10 s is silent at once; one of the last hour is still named, older ones are not."""
    await beat(store, "w1", 2)
    await old_beat(store, "hung", 30)
    await old_beat(store, "gone", 7200)
    began = time.monotonic()
    heard = await acknowledged(store, "agent", 2, 5.0)
    assert time.monotonic() - began < 1
    assert heard.silent == ("hung",)
    assert await sweep(store) == 1
    assert set((await beats(store))[1]) == {"hung", "w1"}


async def test_list_counts_what_is_behind(store: Store) -> None:
    """The list says per worker how many aliases it serves at an older version; foreign fields are skipped."""
    await beat(store, "w1", 1)
    await store.do("HSET", store.keys.workers(), "odd", "not json")
    (row,) = await listed(store, {"agent": 2, "other": 1})
    assert (row.worker, row.alive, row.behind) == ("w1", True, 2)
