"""After every outage the store and the host log agree again, and until then the log is asked first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.store import settle
from gateway.store.logfile import PENDING, STAMP, pack_record, path_of, stamp_key
from gateway.store.records import encode_stamp
from gateway.store.replay import read_checkpoint
from tests.store.lives import KEYS, Command, bind, opened, settled, stamp, state, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


async def test_restarted_worker_replays_what_the_dead_one_left(redis_server: RealRedis, tmp_path: Path) -> None:
    """G1: stamps of a worker that died while the store was away reach the store by the next one."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        for n in range(200):
            await bind(live, stamp(f"r{n}", "rel_1"))
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        assert live.counters.log_replayed == 200
        assert live.counters.log_pending == 0
    async with opened(redis_server.url, tmp_path / "elsewhere") as other:
        await until(lambda: settled(other))
        assert {(await bind(other, stamp(f"r{n}", "rel_2"))).stamp.release for n in range(0, 200, 20)} == {"rel_1"}
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        assert live.counters.log_replayed == 0, "the checkpoint is remembered"


async def test_log_is_asked_before_the_replay_is_done(redis_server: RealRedis, tmp_path: Path) -> None:
    """A run bound during the outage keeps its release even if it comes before its record is replayed."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        await bind(live, stamp("r", "rel_1"))
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: live.up)
        bound = await bind(live, stamp("r", "rel_2"))
        assert (bound.stamp.release, bound.new, bound.durable) == ("rel_1", False, "redis")


async def test_another_workers_leftovers_are_swept(
    redis_server: RealRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pending records that another worker of the host left behind are found while all is well."""
    monkeypatch.setattr(settle, "MARK_SECONDS", 0.05)
    monkeypatch.setattr(settle, "SWEEP_SECONDS", 0.1)
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        await bind(live, stamp("mine"))
        left = stamp("left", "rel_7")
        with path_of(tmp_path / "stamps", 1).open("ab") as file:
            file.write(pack_record(STAMP, PENDING, stamp_key("t", "left", "a"), encode_stamp(left)))
        await until(lambda: Command(redis_server)("EXISTS", KEYS.run("t", "left")))
        end = path_of(tmp_path / "stamps", 1).stat().st_size
        await until(lambda: read_checkpoint(tmp_path / "stamps").offset == end)


async def test_f9_emptied_store_gets_every_stamp_of_the_host_back(redis_server: RealRedis, tmp_path: Path) -> None:
    """F9, F10: after FLUSHALL under way, every stamp of this host is in the store again, resumed or not."""
    tell = Command(redis_server)
    tell("HSET", KEYS.store(), "instance", "s1")
    tell.create(state(1))
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live) and live.pointers.instance == "s1")
        for n in range(150):
            await bind(live, stamp(f"r{n}"))
        tell("FLUSHALL")
        await until(lambda: tell("EXISTS", *[KEYS.run("t", f"r{n}") for n in range(150)]) == 150)
        await until(lambda: settled(live))
        assert live.counters.stamps_repaired == 150


async def test_unreadable_log_does_not_stop_a_worker(redis_server: RealRedis, tmp_path: Path) -> None:
    """A log directory that is no directory is counted, and runs are bound through the store."""
    (tmp_path / "stamps").write_text("")
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: live.up)
        assert (await bind(live, stamp("r"))).durable == "redis"
        await asyncio.sleep(0.05)
        assert live.counters.log_errors


async def test_closing_while_woken_ends(redis_server: RealRedis, tmp_path: Path) -> None:
    """A close that meets news of the store in the same moment ends all the same."""
    for _ in range(20):
        async with asyncio.timeout(5), opened(redis_server.url, tmp_path) as live:
            await asyncio.sleep(0)
            live._settler.returned()
            live._feed.poke()
