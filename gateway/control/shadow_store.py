"""Where the results of the shadow are: the store itself, or the one that `store.shadow_redis` names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from gateway.control.desk import Desk
from gateway.store.client import Store


@asynccontextmanager
async def results(desk: Desk) -> AsyncIterator[Store]:
    """The store that has jobs, pairs and diffs; releases and aliases stay in `desk.store`. Raises Fault once it is used."""
    settings = desk.settings.store
    if not settings.shadow_redis:
        yield desk.store
        return
    async with Store(msgspec.structs.replace(settings, redis=settings.shadow_redis, sentinel=None)) as store:
        yield store
