"""One store per module; a gateway and a provider per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.gateway import LiveGateway
from tests.provider import Provider
from tests.store.conftest import module_redis, redis_server

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
