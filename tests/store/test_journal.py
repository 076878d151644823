"""Records after the fact arrive in batches, wait out an outage within bounds, and what is dropped is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.core.contract.journal import Event, Exposure, Report
from gateway.core.contract.run import Source
from gateway.store.records import decode_entry
from gateway.wire.flow import run
from tests.store.lives import KEYS, Command, bind, opened, settled, stamp, step, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


async def test_every_record_finds_its_stream(redis_server: RealRedis, tmp_path: Path) -> None:
    """Steps go to the run's journal or the alias's stream, exposures and events to theirs, under the documented keys."""
    name = "team/my agent:1"
    async with opened(redis_server.url, tmp_path, steps_kept=50) as live:
        await until(lambda: settled(live))
        live.step(stamp("r", alias=name), step(name))
        live.step(stamp("n", alias=name, source=Source.NONE), step(name))
        live.exposure(Exposure("r", "t", name, "rel_1", "canary", 500, "salt", 1))
        live.event(name, Event("r", "rel_1", "canary", 1, bad=("error",)))
        await until(lambda: live.counters.bulk_sent == 5)
    tell = Command(redis_server)
    (entry,) = tell("XRANGE", KEYS.journal("t", "r"), "-", "+")
    assert decode_entry(entry[1][1]).request == "req_1"  # type: ignore[union-attr]
    assert tell("PTTL", KEYS.journal("t", "r")) > 29 * 86400_000
    assert [tell("XLEN", key(name)) for key in (KEYS.steps, KEYS.exposures, KEYS.events)] == [1, 1, 1]


async def test_steps_of_single_requests_are_capped(redis_server: RealRedis, tmp_path: Path) -> None:
    """The alias's stream is trimmed to about `steps_kept`."""
    async with opened(redis_server.url, tmp_path, steps_kept=100) as live:
        await until(lambda: settled(live))
        for _ in range(1000):
            live.step(stamp("n", source=Source.NONE), step())
        await until(lambda: live.counters.bulk_sent == 1000)
    assert 100 <= Command(redis_server)("XLEN", KEYS.steps("a")) <= 300


async def test_records_wait_for_the_store(tmp_path: Path) -> None:
    """Steps of an outage are written when the store is back; over the bound they are dropped and counted."""
    server = RealRedis(tmp_path / "r")
    try:
        async with opened(server.url, tmp_path / "d") as live:
            await until(lambda: settled(live))
            server.kill()
            await until(lambda: not live._bulk_line.up)
            live._bulk.limit_records = 300
            for _ in range(350):
                live.step(stamp("r"), step())
            assert live.counters.bulk_dropped == {"full": 50}
            server.start()
            await until(lambda: live.counters.bulk_sent >= 600)
        assert Command(server)("XLEN", KEYS.journal("t", "r")) == 300
    finally:
        server.stop()


async def test_bytes_are_bounded(tmp_path: Path) -> None:
    """The queue never holds more bytes than its bound."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        live._bulk.limit_bytes = 10_000
        for _ in range(100):
            live.step(stamp("r"), step())
        assert live._bulk._bytes <= 10_000
        assert live.counters.bulk_dropped["full"] > 0


async def test_a_server_that_is_behind_does_not_lift_the_bound(redis_server: RealRedis, tmp_path: Path) -> None:
    """While the kernel takes no more, records wait in the queue, no more than its bound of them."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.store.journal.UNSENT_LIMIT", 0)
            live._bulk.limit_records = 100
            for _ in range(150):
                live.step(stamp("r"), step())
            assert live.counters.bulk_dropped == {"full": 50}
        await until(lambda: live.counters.bulk_sent == 200)


async def test_unanswered_records_are_not_sent_twice(redis_server: RealRedis, tmp_path: Path) -> None:
    """A batch whose answer never came is counted as lost and not repeated: the journal holds each step at most once."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        for _ in range(64):
            live.step(stamp("r"), step())
        live._bulk_line._flush()
        live._bulk_line.drop("test")
        await until(lambda: live._bulk_line.up)
        await asyncio.sleep(0.05)
        assert live.counters.bulk_dropped == {"lost": 128}
    assert Command(redis_server)("XLEN", KEYS.journal("t", "r")) <= 64


async def test_reports(redis_server: RealRedis, tmp_path: Path) -> None:
    """An outcome is appended to the journal of a run that exists, and to no other."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        await bind(live, stamp("r"))
        assert await run(live.report("t", "r", Report(5, {"solved": True})))
        assert not await run(live.report("other", "r", Report(5, {"solved": True})))
        record = await run(live.run_record("t", "r"))
        assert record.entries[-1] == Report(5, {"solved": True})
        assert (await run(live.run_record("t", "nobody"))).stamps == {}
