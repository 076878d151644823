"""Where the results of the shadow are."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.shadow_store import results

pytestmark = pytest.mark.anyio


async def test_results_are_in_the_store_that_is_named(desk: Desk) -> None:
    """Without `shadow_redis` it is the store itself; with it another connection, to that server and no Sentinel of the main one."""
    async with results(desk) as store:
        assert store is desk.store
    other = desk.settings.store.redis.removesuffix("/0") + "/3"
    held = msgspec.structs.replace(desk.settings.store, redis="redis://127.0.0.1:1", shadow_redis=other)
    apart = replace(desk, settings=msgspec.structs.replace(desk.settings, store=held))
    async with results(apart) as store:
        await store.do("SET", "trivet:x", "1")
        assert store is not desk.store and store.url == other
    assert await desk.store.do("GET", "trivet:x") is None
