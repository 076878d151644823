"""One real server per test module, emptied for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.settings.model import StoreSettings
from gateway.store.client import Store
from tests.store.servers import RealRedis


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture(scope="module")
def module_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A server for the whole module."""
    server = RealRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_server(module_redis: RealRedis) -> RealRedis:
    """The module's server, emptied and running."""
    if module_redis.process is None or module_redis.process.poll() is not None:
        module_redis.start()
    module_redis.ask("FLUSHALL")
    return module_redis


@pytest.fixture
async def store(redis_server: RealRedis, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """The control side's store on an empty server, with a data directory of its own."""
    data_dir = tmp_path_factory.mktemp("data")
    opened = Store(StoreSettings(redis=redis_server.url, data_dir=str(data_dir)))
    yield opened
    await opened.close()
