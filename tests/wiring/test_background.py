"""The background process: first releases, overrides brought back, what a scrape wants to know."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.admin.rights import EVERYTHING
from gateway.control import aliases, local, promote, releases
from gateway.core.contract.records import ReleaseAsk
from gateway.store import aliases as stored
from gateway.store.jobs import LIFE_MS
from gateway.store.local import COPY
from gateway.store.records import PointerFile
from gateway.store.recovery import identity
from gateway.store.releases import many
from gateway.telemetry.counters import Snapshot
from gateway.wiring import configured
from gateway.wiring.background import Office
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio

FILE = """
store: {{redis: "{url}", data_dir: {folder}/data}}
stamp_keys: ["{key}"]
providers: {{openai: {{base_url: "https://api.openai.com"}}}}
aliases:
  support: {{stakes: {stakes}, first_release: {{model: openai/{model}}}}}
"""


@pytest.fixture
def anyio_backend() -> str:
    """asyncio, as the product."""
    return "asyncio"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RealRedis]:
    """A server of its own."""
    server = RealRedis(tmp_path / "redis")
    yield server
    server.stop()


def loaded(tmp_path: Path, url: str, model: str = "gpt-4o-2024-08-06", stakes: str = "standard") -> configured.Loaded:
    """A configuration with one alias."""
    file = tmp_path / "gw.yaml"
    file.write_text(FILE.format(url=url, folder=tmp_path, key="k" * 40, model=model, stakes=stakes))
    return configured.read(file)


@pytest.fixture
async def office(tmp_path: Path, redis: RealRedis) -> AsyncIterator[Office]:
    """An office on an empty store."""
    made = Office(loaded(tmp_path, redis.url))
    yield made
    await made.close()


def number(snapshot: Snapshot, name: str, *labels: str) -> float | None:
    """A number of a snapshot."""
    return next((n for values, n in snapshot.numbers.get(name, []) if values == labels), None)


async def test_first_release_is_made_once(office: Office, tmp_path: Path, redis: RealRedis) -> None:
    """A round makes it; another round, and a file that says something else, never move the pointer."""
    assert await office.try_round(1)
    desk = await office.desk("t")
    first = (await aliases.show(desk, "support")).state
    office.adopt(loaded(tmp_path, redis.url, model="gpt-4o-2024-11-20"))
    assert await office.try_round(2)
    assert (await aliases.show(desk, "support")).state.lanes == first.lanes


async def test_stakes_follow_the_file(office: Office, tmp_path: Path, redis: RealRedis) -> None:
    """Stakes are the configuration's to say; the pointer stays."""
    await office.try_round(1)
    office.adopt(loaded(tmp_path, redis.url, stakes="low"))
    await office.try_round(2)
    assert (await aliases.show(await office.desk("t"), "support")).state.stakes.value == "low"


async def test_dead_store_is_said_once_and_rounds_go_on(office: Office, redis: RealRedis) -> None:
    """Readiness of this port turns red with the fault's word, and green again by itself."""
    assert await office.try_round(1)
    assert (await office.ready()).ready
    redis.kill()
    assert not await office.try_round(2)
    assert not await office.try_round(3)
    state = await office.ready()
    assert (state.ready, state.store) == (False, "store_unavailable")
    redis.start()
    assert await office.try_round(4)
    assert (await office.ready()).store == "ok"


async def test_local_override_is_brought_into_the_store(office: Office, redis: RealRedis) -> None:
    """A rollback made by file while the store was dead is in the store and its history a round after it is back."""
    await office.try_round(1)
    desk = await office.desk("t")
    new = (await releases.create(desk, ReleaseAsk(model="openai/gpt-4o-2024-11-20"))).id
    old = (await aliases.show(desk, "support")).state.lanes["*"].release
    await promote.promote(desk, "support", new, "t", override="me", timeout=0.1)
    await _remember(office)
    redis.kill()
    moved = await local.rollback_here(desk, "support", "store is down")
    assert moved.where == "local"
    redis.start()
    assert await office.try_round(2)
    state = (await aliases.show(await office.desk("t"), "support")).state
    assert state.lanes["*"].release == old
    assert (await aliases.history(await office.desk("t"), "support"))[0].action == "local"


async def _remember(office: Office) -> None:
    """Write this host's copy of the pointers, as live workers do."""

    store = await office.store()
    states = await stored.every(store)
    known = await identity(store)
    ids = [lane.release for s in states.values() for lane in s.lanes.values()]
    ids += [old for s in states.values() for lane in s.lanes.values() for old in lane.previous]

    data_dir = Path(office.loaded.config.settings.store.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    file = PointerFile(instance=known.instance, aliases=states, releases=await many(store, ids))
    (data_dir / COPY).write_bytes(msgspec.json.encode(file))


async def test_active_release_follows_the_pointer(office: Office) -> None:
    """The gauge is 1 for what a lane points at and 0 for what it left."""
    await office.try_round(1)
    desk = await office.desk("t")
    new = (await releases.create(desk, ReleaseAsk(model="openai/gpt-4o-2024-11-20"))).id
    old = (await aliases.show(desk, "support")).state.lanes["*"].release
    await promote.promote(desk, "support", new, "t", override="me", timeout=0.1)
    await office.try_round(2)
    numbers = office.registry.snapshot()
    assert number(numbers, "active_release", "support", "*", new) == 1
    assert number(numbers, "active_release", "support", "*", old) in (0, None)
    kind, text = await office.metrics()
    assert kind.startswith("text/plain")
    assert b"trivet_active_release{" in text


async def test_jobs_nobody_works_on_go_after_an_hour(office: Office) -> None:
    """No captured body stays longer than its hour though no shadow worker runs; a younger one does, and they are counted."""
    store = await office.store()
    stream = store.keys.shadow_jobs()
    await store.do("XADD", stream, f"{time.time_ns() // 1_000_000 - LIFE_MS - 1000}-0", "job", b"{}")
    await store.do("XADD", stream, "*", "job", b"{}")
    await office.round(0)
    assert await store.do("XLEN", stream) == 1
    assert office.registry.counter("shadow_stale_total").n == 1


async def test_f6_unsafe_store_turns_the_gauge(tmp_path: Path) -> None:
    """F6: eviction shows in the metric and in readiness."""
    with RealRedis(tmp_path / "unsafe", maxmemory_policy="allkeys-lru") as server:
        office = Office(loaded(tmp_path, server.url))
        await office.try_round(1)
        assert number(office.registry.snapshot(), "redis_unsafe_config") == 1
        assert "allkeys-lru" in (await office.ready()).warnings[0]
        await office.close()


async def test_visit_is_the_actors(office: Office) -> None:
    """What is done through the port is done by the token's name on a desk of the configuration in force."""
    visit = await office.visit(EVERYTHING)
    assert visit.desk.actor == "local"
    assert visit.config is office.loaded.config
    assert office.admin() is office.loaded.config.settings.admin


async def test_refused_first_release_is_named_and_nothing_else_stops(tmp_path: Path, redis: RealRedis) -> None:
    """A first release that floats is said with its alias; the port goes on."""
    office = Office(loaded(tmp_path, redis.url, model="gpt-4o"))
    assert not await office.try_round(1)
    assert office.trouble == "unpinned_model"
    assert "support" in office.problem
    assert (await aliases.listed(await office.desk("t"))) == []
    await office.close()


async def test_unreadable_copy_is_said_and_the_process_lives(office: Office) -> None:
    """A damaged copy of the pointers turns this port red with its own word; rounds go on."""
    data_dir = Path(office.loaded.config.settings.store.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / COPY).write_text("{")
    assert not await office.try_round(1)
    assert (await office.ready()).store == "copy_unreadable"
    (data_dir / COPY).unlink()
    assert await office.try_round(2)
