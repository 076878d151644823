"""The operations against real live stores: two workers in this process, on the same server."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from gateway.control.block import block, unblock
from gateway.control.desk import Desk
from gateway.control.first import seed
from gateway.control.local import reconcile, rollback_here
from gateway.control.promote import promote
from gateway.control.recovery import bootstrap, restore
from gateway.control.rollback import rollback
from gateway.core.contract.fault import Fault
from gateway.core.contract.run import Source, Stamp
from gateway.settings.model import RunSettings
from gateway.store import runs as stored_runs
from gateway.store.bind import BindRequest
from gateway.store.counters import StoreCounters
from gateway.store.live import LiveStore
from gateway.store.workers import beats
from gateway.wire.flow import run
from tests.control.conftest import MODELS, Make
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def workers(desk: Desk, *names: str) -> AsyncIterator[list[LiveStore]]:
    """Started live stores that know alias `agent`."""
    started = [LiveStore(desk.settings.store, RunSettings(), name, StoreCounters()) for name in names]
    for live in started:
        await live.start()
    try:
        yield started
    finally:
        for live in started:
            await live.close()


async def until(condition: object, seconds: float = 5.0) -> None:
    """Wait until the condition holds."""
    assert callable(condition)
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)


def serving(live: LiveStore) -> str:
    """What a new run of the alias would get."""
    state = live.pointers.alias("agent")
    return state.lanes["*"].release if state is not None else ""


async def test_i5_rollback_under_running_runs(desk: Desk, made: Make, tmp_path: Path) -> None:
    """I5: 100 runs keep their stamps; new ones get the old release on every worker in under a second, measured and told."""
    await seed(desk, tmp_path)
    a, b = await made("A"), await made("B")
    async with workers(desk, "w1", "w2") as live:
        moved = await promote(desk, "agent", b, "better")
        assert set(moved.acknowledged.milliseconds) == {"w1", "w2"}
        for number in range(100):
            want = Stamp(
                "t",
                f"r{number}",
                "agent",
                serving(live[number % 2]),
                MODELS["B"],
                source=Source.HEADER,
                at_ms=number + 1,
            )
            assert (await run(live[number % 2].bind(BindRequest(want)))).new
        moved = await rollback(desk, "agent", "worse")
        assert moved.acknowledged.silent == ()
        assert set(moved.acknowledged.milliseconds) == {"w1", "w2"}
        assert moved.acknowledged.slowest < 1000
        assert [serving(one) for one in live] == [a, a]
        want = Stamp("t", "r7", "agent", a, MODELS["A"], source=Source.HEADER, at_ms=5000)
        bound = await run(live[1].bind(BindRequest(want)))
        assert (bound.new, bound.stamp.release) == (False, b)
        await until(lambda: live[0].up)
        with anyio.fail_after(3):
            while await stored_runs.counted(desk.store, b) < 100:
                await anyio.sleep(0.01)
        assert len(await stored_runs.of_release(desk.store, b)) == 100


async def test_block_reaches_workers_before_they_acknowledge(desk: Desk, made: Make, tmp_path: Path) -> None:
    """When `block` returns, every worker that acknowledged refuses the release; `unblock` the other way round."""
    await seed(desk, tmp_path)
    a = await made("A")
    async with workers(desk, "w1", "w2") as live:
        for number in range(5):
            began = time.monotonic()
            result = await block(desk, a, f"leaks {number}")
            assert result.acknowledged["agent"].silent == ()
            assert time.monotonic() - began < 1
            for one in live:
                release = one.pointers.release(a)
                assert release is not None
                assert release.blocked == f"leaks {number}"
            await unblock(desk, a, "false alarm")
            for one in live:
                release = one.pointers.release(a)
                assert release is not None
                assert release.blocked == ""


async def test_local_rollback_and_return(desk: Desk, package_redis: RealRedis, made: Make, tmp_path: Path) -> None:
    """With the store frozen, --local moves this host's workers in under a second; thawed, the store follows them."""
    await seed(desk, tmp_path)
    a, b = await made("A"), await made("B")
    seen: set[str] = set()

    async def watch(live: LiveStore) -> None:
        while True:
            seen.add(serving(live))
            await anyio.sleep(0)

    async with workers(desk, "w1") as (live,), anyio.create_task_group() as group:
        group.start_soon(watch, live)
        await promote(desk, "agent", b, "better")
        copy = Path(desk.settings.store.data_dir) / "pointers.json"
        await until(lambda: copy.exists() and b in copy.read_text() and a in copy.read_text())
        package_redis.signal(signal.SIGSTOP)
        try:
            moved = await rollback_here(desk, "agent", "worse")
            assert moved.where == "local"
            began = time.monotonic()
            await until(lambda: serving(live) == a)
            assert time.monotonic() - began < 1
            seen.clear()
        finally:
            package_redis.signal(signal.SIGCONT)
        with anyio.fail_after(5):
            while not await _reconciled(desk):
                await anyio.sleep(0.05)
        state = await desk.alias("agent")
        assert (state.lanes["*"].release, state.version) == (a, moved.version)
        await until(lambda: not live.pointers.overridden)
        assert seen == {a}, "the workers never see the bad release again on the way back"
        group.cancel_scope.cancel()


async def _reconciled(desk: Desk) -> bool:
    try:
        return any("in the store" in told for told in await reconcile(desk))
    except Fault:
        return False


@pytest.mark.parametrize("way", ["restore", "bootstrap"])
async def test_f10_flushed_under_workers(
    desk: Desk, package_redis: RealRedis, made: Make, tmp_path: Path, way: str
) -> None:
    """F10: after FLUSHALL workers serve what they knew and say so; restore or bootstrap brings them back, and rollback works."""
    await seed(desk, tmp_path)
    a, b = await made("A"), await made("B")
    async with workers(desk, "w1", "w2") as live:
        await promote(desk, "agent", b, "better")
        copy = Path(desk.settings.store.data_dir) / "pointers.json"
        await until(lambda: copy.exists() and b in copy.read_text())
        package_redis.ask("FLUSHALL")
        await until(lambda: all(one.pointers.store_lost for one in live))
        assert [serving(one) for one in live] == [b, b]
        assert not any(seeded.made for seeded in await seed(desk, tmp_path))
        if way == "restore":
            assert set((await restore(desk, "flushed")).aliases) >= {"agent"}
        else:
            await bootstrap(desk, "flushed, start afresh")
            assert all(seeded.made for seeded in await seed(desk, tmp_path))
        await until(lambda: not any(one.pointers.store_lost for one in live))
        expected = b if way == "restore" else a
        await until(lambda: [serving(one) for one in live] == [expected, expected])
        await made("B")
        with anyio.fail_after(3):
            while len((await beats(desk.store))[1]) < 2:
                await anyio.sleep(0.01)
        moved = await (rollback(desk, "agent", "worse") if way == "restore" else promote(desk, "agent", b, "go"))
        assert moved.changed
        assert moved.acknowledged.silent == ()
        assert set(moved.acknowledged.milliseconds) == {"w1", "w2"}
