"""Captured exchanges on their way to the shadow's queue, on a real server."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.settings.model import ShadowSettings, StoreSettings
from gateway.store import caps, jobs
from gateway.store.client import Store
from gateway.store.counters import StoreCounters
from gateway.store.offers import Offers
from tests.store.lives import until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def offering(store: StoreSettings, **limits: int) -> AsyncIterator[tuple[Offers, StoreCounters]]:
    """A queue of offers that is closed at the end."""
    counters = StoreCounters()
    made = Offers(store, ShadowSettings(**limits), "w1", counters)
    try:
        yield made, counters
    finally:
        await made.close()


async def test_offers_arrive_whole_and_in_order(store: Store) -> None:
    """What is offered can be taken from the stream, bytes and all; the first offer opens the connection."""
    await jobs.prepare(store)
    async with offering(store.settings) as (offers, counters):
        assert counters.shadow.connects == 0
        for number in range(200):
            offers.put(b"%d" % number, b"\x00\r\n" * number, b"\xff")
        await until(lambda: counters.shadow_taken == 200)
        found = await jobs.take(store, "one", 300, 10)
    assert [each.body for each in found] == [b"\x00\r\n" * number for number in range(200)]
    assert counters.shadow_dropped == {} and counters.shadow_queued == 0


async def test_a_full_queue_of_the_store_takes_no_more(store: Store) -> None:
    """Jobs above the bound are dropped and counted, none of those below."""
    async with offering(store.settings, queue=10) as (offers, counters):
        for _ in range(25):
            offers.put(b"{}", b"b", b"r")
        await until(lambda: counters.shadow_taken + sum(counters.shadow_dropped.values()) == 25)
    assert (counters.shadow_taken, counters.shadow_dropped) == (10, {"queue_full": 15})
    assert (await jobs.depth(store)).jobs == 10


async def test_large_jobs_leave_room_for_small_ones(store: Store) -> None:
    """What waits takes about so many bytes in the store and no more, without a book of them."""
    async with offering(store.settings, store_bytes=40_000) as (offers, counters):
        for _ in range(20):
            offers.put(b"{}", b"b" * 10_000, b"r")
            offers.put(b"{}", b"b", b"r")
        await until(lambda: counters.shadow_taken + sum(counters.shadow_dropped.values()) == 40)
    sizes = [len(each.body) for each in await taken(store)]
    assert sizes.count(1) == 20 and 1 <= sizes.count(10_000) <= 4
    assert counters.shadow_dropped == {"queue_full": 40 - len(sizes)}


async def taken(store: Store) -> list[jobs.Delivery]:
    """Everything that waits."""
    await jobs.prepare(store)
    return await jobs.take(store, "one", 300, 10)


async def test_a_worker_holds_no_more_than_its_bound(tmp_path: Path) -> None:
    """With the store out of reach offers wait up to the bound of bytes; later ones, and at the end all, are counted as dropped."""
    away = StoreSettings(redis="redis://127.0.0.1:1", data_dir=str(tmp_path))
    async with offering(away, queue_bytes=1000) as (offers, counters):
        for _ in range(20):
            offers.put(b"{}", b"b" * 80, b"r" * 10)
        assert 7 <= counters.shadow_queued <= 10
        assert not offers.room(1000)
        held = counters.shadow_queued
    assert counters.shadow_dropped == {"full": 21 - held, "closed": held}


async def test_a_frozen_store_costs_nothing_but_the_offers(redis_server: RealRedis, store: Store) -> None:
    """Offers to a server that stopped answering are given up after the limit, and those that come later arrive."""
    async with offering(store.settings) as (offers, counters):
        offers.put(b"{}", b"1", b"r")
        await until(lambda: counters.shadow_taken == 1)
        redis_server.signal(signal.SIGSTOP)
        try:
            offers.put(b"{}", b"2", b"r")
            await until(lambda: counters.shadow_dropped)
        finally:
            redis_server.signal(signal.SIGCONT)
        offers.put(b"{}", b"3", b"r")
        await until(lambda: counters.shadow_taken == 2)
    assert counters.shadow_dropped == {"redis_timeout": 1}


async def test_a_full_server_is_counted(redis_server: RealRedis, store: Store) -> None:
    """F5: a server out of memory refuses offers by that name; afterwards they are taken again."""
    async with offering(store.settings) as (offers, counters):
        offers.put(b"{}", b"1", b"r")
        await until(lambda: counters.shadow_taken == 1)
        redis_server.ask("CONFIG SET maxmemory 1000")
        offers.put(b"{}", b"2", b"r")
        await until(lambda: counters.shadow_dropped.get("redis_oom"))
        redis_server.ask("CONFIG SET maxmemory 0")
        offers.put(b"{}", b"3", b"r")
        await until(lambda: counters.shadow_taken == 2)


async def test_the_shadow_stops_before_the_server_is_full(redis_server: RealRedis, store: Store) -> None:
    """F5: above its share of the memory the server takes no job any more, while it still takes every other write."""
    async with offering(store.settings) as (offers, counters):
        used = int((await store.read("INFO", "memory"))["used_memory"])
        redis_server.ask(f"CONFIG SET maxmemory {int(used / 0.85)}")
        try:
            offers.put(b"{}", b"1", b"r")
            offers.put(b"{}", b"2", b"r")
            await until(lambda: sum(counters.shadow_dropped.values()) == 2)
            await store.do("SET", "a-stamp", "written")
        finally:
            redis_server.ask("CONFIG SET maxmemory 0")
    assert counters.shadow_dropped == {"redis_oom": 2} and counters.shadow_taken == 0


async def test_a_pause_is_said_as_soon_as_the_store_is_there(store: Store) -> None:
    """E13: a worker that has offered nothing yet says a pause too, and a longer one later; a shorter one stays unsaid."""
    async with offering(store.settings) as (offers, counters):
        for until_ms in (5000, 9000, 7000):
            offers.pause("openai", until_ms)
        await until(lambda: counters.shadow.up)
        offers.pause("other", 6000)
        await offers.close()
    assert await caps.pauses(store, 1) == {"openai": 9000, "other": 6000}


async def test_another_server_takes_the_shadow(tmp_path: Path, store: Store) -> None:
    """With `store.shadow_redis` offers go there and nowhere else."""
    with RealRedis(tmp_path / "other") as other:
        settings = StoreSettings(redis=store.url, shadow_redis=other.url, data_dir=str(tmp_path))
        async with offering(settings) as (offers, counters), Store(settings, url=other.url) as elsewhere:
            offers.put(b"{}", b"1", b"r")
            await until(lambda: counters.shadow_taken == 1)
            assert (await jobs.depth(elsewhere)).jobs == 1
    assert (await jobs.depth(store)).jobs == 0
