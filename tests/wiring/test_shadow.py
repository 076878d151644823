"""The shadow process: what it looks at, and a whole gateway with one, killed and alive."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from gateway.core.contract.alias import Shadow
from gateway.core.contract.pair import Line
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import Release, Triple
from gateway.settings.model import StoreSettings
from gateway.store import aliases, caps, jobs, pairs, releases
from gateway.store.client import Store
from gateway.telemetry.counters import decode, flat
from gateway.wiring import configured
from gateway.wiring.shadow import STORE_SHARE, Moved, Works, rss
from tests.gateway_process import Gateway, running
from tests.provider import Provider, Received, Reply, completion, events, stream
from tests.store.servers import RealRedis

CANDIDATE = Release("rel_candidate0000000", Triple("openai/gpt-4o-2024-11-20"))


async def behave(received: Received, reply: Reply) -> None:
    """Live says one thing at once, the candidate another a little later; a stream where one is asked for."""
    asked = received.json
    late = asked["model"] == CANDIDATE.snapshot.model
    if late:
        await asyncio.sleep(0.2)
    said = "It costs 41." if late else "It costs 40."
    await (stream(events([said]))(received, reply) if asked.get("stream") else completion(said)(received, reply))


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Who answers for both releases."""
    with Provider(behave) as found:
        yield found


@pytest.fixture(scope="module")
def gateway(provider: Provider) -> Iterator[Gateway]:
    """A gateway as `trivet serve` starts it, with an alias."""
    one = {"base_url": provider.url, "api_key": "client", "background_api_key": "sk-background", "allow_private": True}
    alias = {"support": {"first_release": {"model": "openai/gpt-4o-2024-08-06"}}}
    with running({"openai": one}, aliases=alias, capture="full", shadowing=True) as found:
        until = time.monotonic() + 10
        while "shadow" not in found.parts() and time.monotonic() < until:
            time.sleep(0.02)
        yield found


def within(gateway: Gateway, work: Callable[[Store], Awaitable[Any]]) -> Any:
    """Do something in the gateway's store."""

    async def main() -> Any:
        async with Store(StoreSettings(data_dir=str(gateway.data_dir))) as store:
            return await work(store)

    return asyncio.run(main())


def shadow(gateway: Gateway, *shadows: Shadow) -> None:
    """Put shadows on the alias, as a person's order does."""

    async def put(store: Store) -> None:
        await releases.put(store, CANDIDATE)
        before = await aliases.get(store, "support")
        assert before is not None
        entry = HistoryEntry(1, "alice", "shadow_start", "", 0, None, None, operation=f"x{before.version}")
        await aliases.write(store, before, msgspec.structs.replace(before, shadows=shadows), entry)

    within(gateway, put)
    time.sleep(0.15)


def ask(gateway: Gateway, *, events_wanted: bool = False) -> tuple[int, bytes]:
    """A request of a caller with a key of its own; status and bytes."""
    body = {
        "model": "support",
        "messages": [{"role": "user", "content": "What does it cost?"}],
        "stream": events_wanted,
    }
    headers = {"authorization": "Bearer sk-of-the-caller"}
    got = httpx.post(f"{gateway.base}/v1/chat/completions", json=body, headers=headers, timeout=20)
    return got.status_code, got.content


def lines(gateway: Gateway, count: int, seconds: float = 12.0) -> list[Line]:
    """The pairs of the alias, once there are so many."""
    until = time.monotonic() + seconds
    while True:
        found: list[Line] = within(gateway, lambda store: pairs.lines(store, "support"))
        if len(found) >= count:
            return found
        assert time.monotonic() < until, f"{len(found)} of {count} pairs:\n{gateway.log[-2000:]}"
        time.sleep(0.05)


def test_a_shadow_makes_pairs_and_changes_nothing(gateway: Gateway, provider: Provider) -> None:
    """Live bytes are the same with and without it, streamed or not; the candidate never sees the caller's key."""
    without = [ask(gateway, events_wanted=wanted) for wanted in (False, True)]
    shadow(gateway, Shadow(CANDIDATE.id, "salt", rate=10_000, secondary=0))
    assert [ask(gateway, events_wanted=wanted) for wanted in (False, True)] == without
    found = lines(gateway, 2)
    assert {line.stream for line in found} == {False, True}
    assert all(line.pair_class == "divergent" and line.candidate.status == 200 for line in found)
    asked = {model: set() for model in ("gpt-4o-2024-08-06", CANDIDATE.snapshot.model)}
    for each in provider.requests:
        asked[each.json["model"]].add(each.fields["authorization"])
    assert asked == {
        "gpt-4o-2024-08-06": {"Bearer sk-of-the-caller"},
        CANDIDATE.snapshot.model: {"Bearer sk-background"},
    }


def test_a_killed_shadow_process_loses_nothing(gateway: Gateway) -> None:
    """kill -9 in the middle of its calls: live goes on, and every exchange becomes its pair once."""
    before = len(lines(gateway, 0))
    shadow(gateway, Shadow(CANDIDATE.id, "salt", rate=10_000, secondary=0))
    for _ in range(4):
        assert ask(gateway)[0] == 200
    time.sleep(0.1)
    pid = gateway.kill("shadow")
    for _ in range(2):
        assert ask(gateway)[0] == 200
    gateway.wait_restarted("shadow", pid)
    found = lines(gateway, before + 6)
    assert len(found) == before + 6 == len({line.pair for line in found})
    depth = within(gateway, jobs.depth)
    assert depth.jobs == 0


def test_its_numbers_are_scraped(gateway: Gateway) -> None:
    """Pairs, tokens and queue of the shadow stand beside live's."""
    time.sleep(1.1)
    status, text = gateway.get(f"{gateway.admin}/metrics")
    assert status == 200
    assert b'trivet_shadow_total{outcome="divergent"}' in text and b"trivet_shadow_depth 0" in text
    tokens = [row for row in text.splitlines() if row.startswith(b"trivet_tokens_total") and b'"shadow"' in row]
    assert any(b'alias="support"' in row and b'"input"' in row for row in tokens), tokens


@pytest.mark.skipif(sys.platform != "linux", reason="policies and sessions are Linux's")
@pytest.mark.parametrize(("priority", "policy", "nice"), [("idle", "SCHED_IDLE", 19), ("normal", "SCHED_OTHER", 0)])
def test_it_takes_only_the_cpu_that_nobody_wants(priority: str, policy: str, nice: int) -> None:
    """Every thread of it runs when nothing else would, and its session weighs least where sessions are weighed, unless told
    otherwise; the live worker and its session are as they were."""
    with running({"openai": "http://127.0.0.1:9"}, shadow={"priority": priority}, shadowing=True) as gateway:
        wanted = ({getattr(os, policy)}, {nice}, f"nice {nice}")
        until = time.monotonic() + 15
        while (found := shadow_stands(gateway)) != wanted and time.monotonic() < until:
            time.sleep(0.05)
        assert found == wanted
        assert stands(gateway.parts()["live-0"]["pid"]) == ({os.SCHED_OTHER}, {0}, "nice 0")


def shadow_stands(gateway: Gateway) -> tuple[set[int], set[int], str] | None:
    """How the shadow process stands once it is ready."""
    part = gateway.parts().get("shadow", {})
    return stands(part["pid"]) if part.get("state") == "ready" else None


def stands(pid: int) -> tuple[set[int], set[int], str]:
    """Policies and niceness of the threads of a process, and how its session is weighed: as wanted where that is not done."""
    threads = [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
    policies = {os.sched_getscheduler(each) for each in threads}
    nices = {os.getpriority(os.PRIO_PROCESS, each) for each in threads}
    try:
        weight = Path(f"/proc/{pid}/autogroup").read_text().partition(" ")[2].strip()
    except OSError:
        weight = ""
    return policies, nices, weight or f"nice {max(nices)}"


def config(folder: Path, url: str) -> configured.Loaded:
    """A configuration on a server."""
    file = folder / "gw.yaml"
    file.write_text(
        yaml.safe_dump({"store": {"redis": url, "data_dir": str(folder / "data")}, "stamp_keys": ["k" * 40]})
    )
    return configured.read(file)


@pytest.fixture
def anyio_backend() -> str:
    """asyncio, as the product."""
    return "asyncio"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A server for the module."""
    server = RealRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
async def works(tmp_path: Path, redis: RealRedis) -> AsyncIterator[Works]:
    """The objects of the process on a real server."""
    redis.ask("FLUSHALL")
    made = Works(config(tmp_path, redis.url), "w")
    yield made
    await made.close()


def numbers(works: Works) -> dict[str, Any]:
    """What it wrote last."""
    (file,) = (Path(works.loaded.config.settings.store.data_dir) / "run" / "metrics").glob("shadow-*.json")
    return flat(decode(file.read_bytes()))


@pytest.mark.anyio
async def test_it_measures_queue_and_pauses(works: Works) -> None:
    """Depth, age and pauses are numbers; nothing holds it while there is memory."""
    _, store = works.stores()
    works.registry.know("provider", ["openai"])
    await store.do("XADD", store.keys.shadow_jobs(), f"{int(time.time() * 1000) - 5000}-0", "job", b"{}")
    await caps.pause(store, "openai", int(time.time() * 1000) + 60_000)
    await works.measure()
    found = numbers(works)
    assert found["shadow_depth"] == 1 and 4 < found["shadow_age_seconds"] < 60 and found["shadow_paused{openai}"] == 1
    assert works.held == "" and rss() > 1 << 20


@pytest.mark.anyio
async def test_a_store_near_its_limit_stops_it(works: Works) -> None:
    """F5: results never take the place of stamps; jobs that are too old leave meanwhile."""
    _, store = works.stores()
    await store.do("XADD", store.keys.shadow_jobs(), "1000-0", "job", b"{}")
    used = int((await store.read("INFO", "memory"))["used_memory"])
    await store.do("CONFIG", "SET", "maxmemory", int(used / STORE_SHARE) - (64 << 10))
    try:
        await works.measure()
        assert works.held == "store_memory"
        assert (await jobs.depth(store)).jobs == 0
    finally:
        await store.do("CONFIG", "SET", "maxmemory", 0)
    await works.measure()
    assert works.held == ""


@pytest.mark.anyio
async def test_a_store_that_is_away_or_moved(works: Works, tmp_path: Path) -> None:
    """Away is said once and waited for; another address ends the process, which starts again."""
    works.stores()
    works.adopt(config(tmp_path, "redis://127.0.0.1:1"))
    with pytest.raises(Moved):
        works.stores()
    gone = Works(works.loaded, "w")
    await gone.measure()
    assert gone.held == "" and numbers(works)["processes{shadow}"] == 1
    await gone.close()
