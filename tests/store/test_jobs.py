"""The queue of the shadow on a real server."""

from __future__ import annotations

import time

import msgspec
import pytest

from gateway.core.contract.job import Job
from gateway.store import jobs
from gateway.store.client import Store

pytestmark = pytest.mark.anyio


def job(number: int) -> Job:
    """A job of its own."""
    return Job(
        pair=f"req_{number}.rel_2",
        request=f"req_{number}",
        tenant="t",
        run="r",
        alias="a",
        step=1,
        primary="rel_1",
        candidate="rel_2",
        dialect="openai",
        operation="chat",
        path="/v1/chat/completions",
        at_ms=number,
    )


async def offer(store: Store, *numbers: int) -> None:
    """Put jobs into the stream as a live worker does."""
    for number in numbers:
        meta = msgspec.json.encode(job(number))
        await store.do("XADD", store.keys.shadow_jobs(), "*", "job", meta, "body", b"\x00body", "reply", b"reply\xff")


async def test_a_job_is_one_workers_until_it_is_done(store: Store) -> None:
    """What one worker has taken another does not get; done, it is gone from the stream."""
    await jobs.prepare(store)
    await jobs.prepare(store)
    await offer(store, 1, 2, 3)
    first = await jobs.take(store, "one", 2, 10)
    second = await jobs.take(store, "other", 5, 10)
    assert [d.job for d in (*first, *second)] == [job(1), job(2), job(3)]
    assert (first[0].body, first[0].reply, first[0].deliveries) == (b"\x00body", b"reply\xff", 1)
    await jobs.done(store, [d.id for d in (*first, *second)])
    assert await jobs.depth(store) == jobs.Depth(0, 0)
    assert await jobs.take(store, "one", 2, 10) == []


async def test_a_dead_workers_jobs_come_back(store: Store) -> None:
    """A job that was not finished is another worker's after a while, and says how often it was handed out."""
    await jobs.prepare(store)
    await offer(store, 1)
    assert await jobs.take(store, "dead", 1, 10)
    assert await jobs.reclaim(store, "alive", 10, 60_000) == []
    again = await jobs.reclaim(store, "alive", 10, 0)
    assert [(d.job, d.deliveries) for d in again] == [(job(1), 2)]
    assert [d.deliveries for d in await jobs.reclaim(store, "third", 10, 0)] == [3]


async def test_what_cannot_be_read_is_told_so(store: Store) -> None:
    """F11: an entry of another shape, or one that was trimmed while pending, is a delivery without a job, to be acknowledged."""
    await jobs.prepare(store)
    await store.do("XADD", store.keys.shadow_jobs(), "*", "job", "{", "body", "x")
    await offer(store, 1)
    broken, whole = await jobs.take(store, "one", 2, 10)
    assert broken.job is None and whole.job == job(1)
    await store.do("XDEL", store.keys.shadow_jobs(), whole.id)
    left = await jobs.reclaim(store, "other", 10, 0)
    assert [d.job for d in left if d.id != broken.id] in ([], [None])


async def test_a_deleted_group_is_made_again(store: Store) -> None:
    """F10: after FLUSHALL or a deleted group workers go on, from the oldest job there is."""
    await jobs.prepare(store)
    await store.do("DEL", store.keys.shadow_jobs())
    assert await jobs.reclaim(store, "one", 10, 0) == []
    await store.do("XGROUP", "DESTROY", store.keys.shadow_jobs(), jobs.GROUP)
    await offer(store, 4)
    assert [d.job for d in await jobs.take(store, "one", 10, 10)] == [job(4)]
    assert (await jobs.depth(store)).oldest_ms > 0


async def test_the_next_process_of_a_name_goes_on_at_once(store: Store) -> None:
    """What a killed process had in hand is its successor's without a wait, counted as another delivery; others' is not."""
    await jobs.prepare(store)
    await offer(store, 1, 2)
    await jobs.take(store, "w1", 1, 10)
    await jobs.take(store, "w2", 1, 10)
    (found,) = await jobs.left(store, "w1", 10)
    assert found.job == job(1) and found.deliveries == 2


async def test_jobs_that_are_too_old_go(store: Store) -> None:
    """While nobody takes jobs, those that nobody would work on any more leave the queue."""
    await jobs.prepare(store)
    await store.do("XADD", store.keys.shadow_jobs(), "1000-0", "job", b"{}")
    await offer(store, 1)
    assert await jobs.drop_stale(store, int(time.time() * 1000)) == 1
    assert (await jobs.depth(store)).jobs == 1
