"""Jobs made from stored pairs, on a real server."""

from __future__ import annotations

import msgspec
import pytest

from gateway.store import jobs, pairs, replays
from gateway.store.client import Store
from gateway.store.replays import Standing
from tests.shadow.jobs import job

pytestmark = pytest.mark.anyio


async def test_where_each_is(store: Store) -> None:
    """Open until handed over, queued until there is a result or a job's life is over; a full queue takes nothing."""
    ids = ["req_1.rel_2", "req_2.rel_2"]
    assert await replays.standing(store, "support", ids, 5) == [Standing.OPEN, Standing.OPEN]
    assert await replays.put(store, job(1), (b"body", b"reply"), (1, 1000), 5)
    assert not await replays.put(store, job(2), (b"body", b"reply"), (1, 1000), 5)
    assert await replays.standing(store, "support", ids, 6) == [Standing.QUEUED, Standing.OPEN]
    assert await replays.standing(store, "support", ids, 5 + jobs.LIFE_MS) == [Standing.OPEN, Standing.OPEN]
    await pairs.skip(store, "support", "rel_2", ids[0], "tools", 7)
    assert await replays.standing(store, "support", ids, 8) == [Standing.ENDED, Standing.OPEN]
    await jobs.prepare(store)
    (got,) = await jobs.take(store, "w", 5, 100)
    assert (msgspec.json.encode(got.job), got.body, got.reply) == (msgspec.json.encode(job(1)), b"body", b"reply")
