"""A gateway in this process with a scripted provider, and the sentinel's way to its data port."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core.contract.alias import Lane
from gateway.core.contract.release import Release
from gateway.settings.model import Settings
from gateway.store import releases
from gateway.store.client import Store
from gateway.upstream.ownport import DataPort
from tests.live.gateway import STAMP_KEY, LiveGateway, release
from tests.provider import Provider, completion
from tests.store.servers import RealRedis

PRICES = {"*": {"input": 1.0, "output": 2.0}}


@dataclass
class Scene:
    """A gateway, its provider, and a store to look into. Alias `agent` is on the first release and was on the others."""

    gateway: LiveGateway
    provider: Provider
    store: Store
    kept: tuple[Release, ...]
    ahead_ms: int = 0

    @property
    def settings(self) -> Settings:
        """The gateway's."""
        return self.gateway.settings

    def port(self) -> DataPort:
        """The gateway's data port."""
        return DataPort(f"http://127.0.0.1:{self.gateway.port}", STAMP_KEY)

    def ids(self) -> list[str]:
        """The releases' ids, stable first."""
        return [each.id for each in self.kept]

    def clock(self) -> int:
        """The wall clock, so far ahead as a test has gone."""
        return int(time.time() * 1000) + self.ahead_ms


def gateway(redis: RealRedis, folder: Path, provider: Provider, **settings: Any) -> LiveGateway:
    """A gateway whose provider `openai` is the test's."""
    made = {"base_url": provider.url, "api_key": "sk-own", "vendor": "openai", "allow_private": True, "prices": PRICES}
    return LiveGateway(redis.url, folder / "data", {"openai": made}, **settings)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture(scope="package")
def sentinel_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A server for the whole package."""
    server = RealRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
async def scene(sentinel_redis: RealRedis, tmp_path: Path) -> AsyncIterator[Scene]:
    """Three releases of pinned models, all callable; nobody has called any yet."""
    sentinel_redis.ask("FLUSHALL")
    with Provider() as provider, gateway(sentinel_redis, tmp_path, provider) as running:
        provider.default = completion()
        running.ready()
        kept = tuple(release(f"openai/gpt-4o-2024-{day}") for day in ("11-20", "08-06", "05-13"))
        store = Store(running.settings.store)
        for each in kept[1:]:
            await releases.put(store, each)
        running.alias("agent", kept[0], lanes={"*": Lane(kept[0].id, tuple(each.id for each in kept[1:]))})
        yield Scene(running, provider, store, kept)
        await store.close()
