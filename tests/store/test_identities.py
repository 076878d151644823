"""The stream between live workers and the sentinel."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.core.contract.sentinel import Identity
from gateway.settings.model import RunSettings, StoreSettings
from gateway.store import epochs
from gateway.store.client import Store
from gateway.store.counters import StoreCounters
from gateway.store.identities import TTL_MS
from gateway.store.live import LiveStore
from tests.store.servers import RealRedis

SAID = Identity("openai/gpt-4o-2024-08-06", "openai", "gpt-4o-2024-08-06", "fp_1", "rel_1", "agent", 5, mismatch=True)


async def _exchange(url: str, folder: Path) -> list[tuple[str, Identity]]:
    settings = StoreSettings(redis=url, data_dir=str(folder))
    live, control = LiveStore(settings, RunSettings(), "w", StoreCounters()), Store(settings)
    await live.start()
    while not live._bulk_line.up:
        await asyncio.sleep(0.01)
    live.identities.tell(SAID)
    await control.do("XADD", control.keys.identities(), "*", "entry", "{")
    for _ in range(200):
        if len(found := await epochs.identities(control, "0-0")) == 2:
            break
        await asyncio.sleep(0.01)
    last = max((identifier for identifier, _ in found), key=lambda each: tuple(map(int, each.split("-"))))
    assert await epochs.identities(control, last) == []
    assert 0 < await control.do("PTTL", control.keys.identities()) <= TTL_MS
    await live.close()
    await control.close()
    return found


def test_what_a_worker_tells_is_what_the_sentinel_reads(redis_server: RealRedis, tmp_path: Path) -> None:
    """Whole, with a ttl, from a place on; an entry that cannot be read names no snapshot."""
    found = asyncio.run(_exchange(redis_server.url, tmp_path))
    assert sorted((said for _, said in found), key=lambda said: said.snapshot) == [
        Identity("", "", "", "", "", "", 0),
        SAID,
    ]
