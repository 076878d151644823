"""Workers tell each other what they used of a limit: real server, several workers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.store.shares import Told, Use
from tests.store.lives import KEYS, Command, opened, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


def use(requests: int = 0, tokens: int = 0, **more: int | tuple[str, ...]) -> Use:
    """What a worker used of an account that limits everything."""
    values = {"loose": 0, "spent": 0, "day": 20_000, "runs": (), "runs_kept": 10, **more}
    return Use("tenant/a", requests, tokens, **values)  # type: ignore[arg-type]


async def test_each_hears_of_the_others_and_not_of_itself(redis_server: RealRedis, tmp_path: Path) -> None:
    """Sums are those of the other workers; saying a thing twice changes none; runs are those of all."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: live._bulk_line.up)
        one = use(3, 100, loose=1, spent=5_000_000_000_000, runs=("r1", "r2"))
        assert await live.share("w1", [one]) == [Told(0, 0, 0, 0, 0, ("r2", "r1"))]
        assert await live.share("w1", [one, one]) == [Told(0, 0, 0, 0, 0, ("r2", "r1"))] * 2
        assert await live.share("w2", [use(4, 1, spent=7)]) == [Told(3, 100, 1, 1, 5_000_000_000_000, ("r2", "r1"))]
        assert await live.share("w3", [use()]) == [Told(7, 101, 1, 2, 5_000_000_000_007, ("r2", "r1"))]
        assert await live.share("w1", [use(runs_kept=1)]) == [Told(4, 1, 0, 2, 7, ("r2",))]
        (other,) = await live.share("w1", [use(day=20_001)])
        assert other is not None
        assert other.spent == 0, "another day"


async def test_a_worker_that_died_stays_known_for_what_it_used(redis_server: RealRedis, tmp_path: Path) -> None:
    """Its minute counts for a minute, its money for the day; then nothing of it is left."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: live._bulk_line.up)
        command = Command(redis_server)
        await live.share("dead", [use(3, spent=9)])
        command("HSET", KEYS.limits("tenant/a"), "dead", "1000 3 0 0")
        command("HSET", KEYS.limits("tenant/a"), "odd", "what is this")
        assert await live.share("w", [use()]) == [Told(0, 0, 0, 0, 9, ())]
        assert command("HKEYS", KEYS.limits("tenant/a")) == [b"w"]
        for key in (KEYS.limits("tenant/a"), KEYS.spend("tenant/a", "20000")):
            assert command("PTTL", key) > 0


async def test_nothing_is_kept_of_what_has_no_limit(redis_server: RealRedis, tmp_path: Path) -> None:
    """Without a limit of money or runs neither is written."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: live._bulk_line.up)
        await live.share("w", [use(1, spent=5, day=0, runs=("r",), runs_kept=0)])
        assert Command(redis_server)("EXISTS", KEYS.limit_runs("tenant/a"), KEYS.spend("tenant/a", "0")) == 0


async def test_without_the_store_nothing_is_told_and_nothing_raised(redis_server: RealRedis, tmp_path: Path) -> None:
    """A dead server is an answer that did not come."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: live._bulk_line.up)
        redis_server.stop()
        async with asyncio.timeout(5):
            await until(lambda: not live._bulk_line.up)
            assert await live.share("w", [use(), use()]) == [None, None]
