"""A real Redis and a store of its own for each test."""

from __future__ import annotations

from tests.store.conftest import anyio_backend, module_redis, redis_server, store

__all__ = ["anyio_backend", "module_redis", "redis_server", "store"]
