"""What `trivet store` says about a server's safety."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.contract.fault import Fault
from gateway.settings.model import StoreSettings
from gateway.store.client import Store
from gateway.store.safety import check
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


async def test_durable_server_is_safe(store: Store) -> None:
    """A noeviction server with an append-only file is safe, and says where it is and how big."""
    report = await check(store)
    assert report.safe
    assert report.warnings == report.untold == ()
    assert report.policy == "noeviction"
    assert report.appendonly is True
    assert report.server.startswith("redis ")
    assert report.used_bytes > 0
    assert report.keys == 0


async def test_f6_evicting_server_without_aof_is_unsafe(tmp_path: Path) -> None:
    """F6: allkeys-lru and a missing append-only file are each a warning that says what to set."""
    server = RealRedis(tmp_path, maxmemory_policy="allkeys-lru", appendonly="no")
    store = Store(StoreSettings(redis=server.url, assume="durable"))
    try:
        report = await check(store)
    finally:
        await store.close()
        server.stop()
    assert not report.safe, "`assume: durable` covers silence, not a confession"
    assert len(report.warnings) == 2
    assert "allkeys-lru" in report.warnings[0]
    assert "noeviction" in report.warnings[0]
    assert "appendonly" in report.warnings[1]


@pytest.mark.parametrize(("assume", "safe"), [("", False), ("durable", True)])
async def test_silent_server(tmp_path: Path, assume: str, safe: bool) -> None:
    """A server whose ACL hides INFO and CONFIG is unsafe by silence, unless the operator vouches for it."""
    server = RealRedis(tmp_path)
    server.ask("ACL SETUSER quiet on >word ~* &* +@all -info -config")
    url = server.url.replace("redis://", "redis://quiet:word@")
    store = Store(StoreSettings(redis=url, assume="durable" if assume else ""))
    try:
        report = await check(store)
    finally:
        await store.close()
        server.stop()
    assert report.untold == ("maxmemory-policy", "appendonly")
    assert report.safe is safe
    assert report.assumed is safe
    assert "word" not in repr(report)


async def test_dead_server_is_a_fault() -> None:
    """A server that cannot be reached is a fault, not an unsafe report."""
    store = Store(StoreSettings(redis="redis://127.0.0.1:1"))
    with pytest.raises(Fault) as caught:
        await check(store)
    assert caught.value.code == "store_unavailable"
    await store.close()
