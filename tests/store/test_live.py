"""The live store as a whole: no fault of the store is an error of a request, and no stamp is lost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gateway.core.contract.fault import Fault
from gateway.store.live import BindRequest
from gateway.store.logfile import Reader
from gateway.store.records import decode_stamp
from gateway.wire.flow import run
from tests.store.lives import KEYS, Command, bind, opened, settled, stamp, step, until
from tests.store.proxy import Proxy
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


async def test_f2_killed_under_load(tmp_path: Path) -> None:
    """F2: kill -9 and restart of the store under load: no error, every run one release, all stamps in the store afterwards."""
    server = RealRedis(tmp_path / "r")
    loop = asyncio.get_running_loop()
    slowest = 0.0
    releases: dict[str, set[str]] = {}
    try:
        async with opened(server.url, tmp_path / "1", "w1") as one, opened(server.url, tmp_path / "1", "w2") as two:
            await until(lambda: settled(one) and settled(two))
            for turn in range(60):
                if turn == 20:
                    server.kill()
                if turn == 40:
                    server.start()
                begun = loop.time()
                names = [f"r{turn}-{n}" for n in range(5)] + [f"r{max(0, turn - 7)}-{n}" for n in range(5)]
                for name in names:
                    live = (one, two)[(turn + len(name)) % 2]
                    bound = await bind(live, stamp(name, f"rel_{turn}"))
                    releases.setdefault(name, set()).add(bound.stamp.release)
                slowest = max(slowest, loop.time() - begun)
                await asyncio.sleep(0.01)
            await until(lambda: settled(one) and settled(two))
        assert all(len(found) == 1 for found in releases.values())
        assert slowest < 0.3
        tell = Command(server)
        for name, found in releases.items():
            assert {decode_stamp(tell("HGET", KEYS.run("t", name), "stamp:a")).release} == found
    finally:
        server.stop()


async def test_f4_bad_network(redis_server: RealRedis, tmp_path: Path) -> None:
    """F4: slices, resets, junk and holes on the way to the store: no error, and no run ever gets another one's stamp."""
    async with Proxy(redis_server.port) as proxy, opened(proxy.url, tmp_path) as live:
        await until(lambda: settled(live))
        for turn in range(12):
            proxy.slice = turn % 3
            wants = [stamp(f"r{n}", f"rel_of_r{n}") for n in range(15)]
            waiting = [bind(live, want) for want in wants]
            if turn % 4 == 1:
                asyncio.get_running_loop().call_later(0.001, proxy.reset)
            if turn % 4 == 2:
                proxy.corrupt = b":1\r\n"
            if turn == 7:
                proxy.hole = True
            bounds = await asyncio.gather(*waiting)
            assert [(b.stamp.run, b.stamp.release) for b in bounds] == [(w.run, w.release) for w in wants]
            proxy.hole = False
            if turn % 4 == 3:
                await until(lambda: live.up)


async def test_paused_clients(redis_server: RealRedis, tmp_path: Path) -> None:
    """CLIENT PAUSE is a slow store: one limit for those in flight, none for others, no error."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        Command(redis_server)("CLIENT", "PAUSE", 400, "ALL")
        bounds = await asyncio.gather(*[bind(live, stamp(f"r{n}")) for n in range(20)])
        assert {bound.durable for bound in bounds} == {"log"}
        await until(lambda: settled(live))
        assert (await bind(live, stamp("r1", "rel_2"))).stamp.release == "rel_1"


async def test_f5_full_memory(redis_server: RealRedis, tmp_path: Path) -> None:
    """F5: a store that refuses writes: runs are bound on disk, then not even asked for, and replayed when there is room."""
    tell = Command(redis_server)
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell("CONFIG", "SET", "maxmemory", "1")
        try:
            durable = [(await bind(live, stamp(f"r{n}"))).durable for n in range(10)]
            assert set(durable) == {"log"}
            assert live.counters.stamps.errors["oom"] == 3
            assert not live.up
        finally:
            tell("CONFIG", "SET", "maxmemory", "0")
        await until(lambda: settled(live))
        assert tell("EXISTS", *[KEYS.run("t", f"r{n}") for n in range(10)]) == 10


async def test_f7_store_disk_full(tmp_path: Path) -> None:
    """F7: MISCONF (a store that cannot save) is handled like an outage."""
    server = RealRedis(tmp_path / "r", appendonly="no", save="3600 1", stop_writes_on_bgsave_error="yes")
    tell = Command(server)
    try:
        async with opened(server.url, tmp_path / "d") as live:
            await until(lambda: settled(live))
            (tmp_path / "r" / "dump.rdb").mkdir()
            tell("BGSAVE")
            await until(lambda: b"rdb_last_bgsave_status:err" in tell("INFO", "persistence"))
            bounds = [await bind(live, stamp(f"r{n}")) for n in range(5)]
            assert {bound.durable for bound in bounds} == {"log"}
            assert live.counters.stamps.errors.get("misconf")
            (tmp_path / "r" / "dump.rdb").rmdir()
            tell("BGSAVE")
            await until(lambda: b"rdb_last_bgsave_status:ok" in tell("INFO", "persistence"))
            await until(lambda: settled(live))
            assert tell("EXISTS", *[KEYS.run("t", f"r{n}") for n in range(5)]) == 5
    finally:
        server.stop()


async def test_runs_api_without_store(tmp_path: Path) -> None:
    """What only the store can answer is 503 and retryable while it is away; learning and links are not errors."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        with pytest.raises(Fault) as away:
            await run(live.run_record("t", "r"))
        assert (away.value.status, away.value.code, away.value.retry) == (503, "store_unavailable", True)
        assert await run(live.fetch_release("rel_1")) is None
        assert await run(live.linked("t", ["x"])) is None
        live.step(stamp("r"), step())


async def test_interrupted_request_leaves_the_line_in_order(redis_server: RealRedis, tmp_path: Path) -> None:
    """A client that leaves while its run is bound disturbs nobody else's answer."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        gone = run(live.bind(BindRequest(stamp("gone"))))
        kept = [run(live.bind(BindRequest(stamp(f"r{n}", f"rel_{n}")))) for n in range(5)]
        gone.cancel()
        assert [(await bound).stamp.release for bound in kept] == [f"rel_{n}" for n in range(5)]


async def test_nothing_is_left_behind(redis_server: RealRedis, tmp_path: Path) -> None:
    """Closing ends every task, timer and connection."""
    before = len(asyncio.all_tasks())
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        await bind(live, stamp("r"))
        live.step(stamp("r"), step())
    assert len(asyncio.all_tasks()) == before
    assert Command(redis_server)("XLEN", KEYS.journal("t", "r")) == 2, "what was queued was sent"


WORKER = """
import asyncio, sys
from pathlib import Path
from tests.store.lives import bind, opened, stamp

async def main():
    async with opened(sys.argv[1], Path(sys.argv[2])) as live:
        for n in range(100_000):
            bound = await bind(live, stamp(f"{sys.argv[3]}-{n}", "rel_1"))
            sys.stdout.write(bound.stamp.run + "\\n")
            sys.stdout.flush()

asyncio.run(main())
"""


@pytest.mark.parametrize("away", [False, True])
def test_g1_killed_worker_loses_no_stamp(redis_server: RealRedis, tmp_path: Path, away: bool) -> None:
    """G1: after kill -9 of a worker at any moment, every run it had bound is in the host log, with and without the store."""
    url = "redis://127.0.0.1:1" if away else redis_server.url
    for turn in range(3):
        command = [sys.executable, "-c", textwrap.dedent(WORKER), url, str(tmp_path), str(turn)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        told = [worker.stdout.readline().strip() for _ in range(30 + turn)]
        worker.send_signal(signal.SIGKILL)
        told += worker.stdout.read().splitlines()[:-1]
        worker.stdout.close()
        worker.wait()
        reader = Reader(tmp_path / "stamps")
        logged: set[str] = set()
        while (found := reader.step()) is not None:
            logged |= {decode_stamp(record.body).run for record in found}
        assert set(told) <= logged
