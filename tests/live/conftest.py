"""One store per module; a gateway and a provider per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.gateway import LiveGateway
from tests.provider import Provider
from tests.store.conftest import module_redis, redis_server
from tests.store.servers import RealRedis

__all__ = ["module_redis", "redis_server"]


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that answers chat completions."""
    with Provider() as running:
        yield running


@pytest.fixture
def gateway(redis_server, provider: Provider, tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway without keys in front of the provider, which it knows as `openai`."""
    providers = {"openai": {"base_url": provider.url, "api_key": "sk-provider", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers) as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[Provider]:
    """A provider for a whole module."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def shared(upstream: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway for a whole module, with a store of its own that nobody empties: each test takes aliases of its own."""
    providers = {"openai": {"base_url": upstream.url, "api_key": "sk-provider", "allow_private": True}}
    folder = tmp_path_factory.mktemp("shared")
    server = RealRedis(folder)
    try:
        with LiveGateway(server.url, folder / "data", providers) as running:
            yield running
    finally:
        server.stop()
