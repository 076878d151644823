"""The two streams between live workers and the learner."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.core.contract.journal import Seen, Sightings
from gateway.settings.model import RunSettings, StoreSettings
from gateway.store import templates
from gateway.store.client import Store
from gateway.store.counters import StoreCounters
from gateway.store.live import LiveStore
from gateway.store.sightings import TEXT_BYTES
from tests.store.servers import RealRedis


async def _exchange(url: str, folder: Path) -> tuple[list[tuple[str, Sightings]], list[templates.Text], object, object]:
    settings = StoreSettings(redis=url, data_dir=str(folder))
    live, control = LiveStore(settings, RunSettings(), "w", StoreCounters()), Store(settings)
    await live.start()
    while not live._bulk_line.up:
        await asyncio.sleep(0.01)
    live.sightings.text("agent", "prompt", "d1", b"x" * (TEXT_BYTES + 1))
    live.sightings.seen(Sightings("agent", 5, (Seen("rel_a", "d1", "", 3, 2),), 4))
    await control.do("SADD", control.keys.undeclared("agent"), "d1")
    found = await live.sightings.undeclared(["agent", "other"])
    for _ in range(200):
        if await templates.sightings(control):
            break
        await asyncio.sleep(0.01)
    answer = await templates.sightings(control), await templates.texts(control)
    ttl = await control.do("PTTL", control.keys.texts())
    await live.close()
    gone = await live.sightings.undeclared(["agent"])
    await control.close()
    assert gone == {} and 0 < ttl <= 3_600_000
    return *answer, found, ttl


def test_what_a_worker_tells_is_what_the_learner_reads(redis_server: RealRedis, tmp_path: Path) -> None:
    """Counts and texts arrive whole up to the bound, with a ttl; undeclared digests come back; a dead line says nothing."""
    seen, texts, found, _ = asyncio.run(_exchange(redis_server.url, tmp_path))
    ((_, entry),) = seen
    assert entry == Sightings("agent", 5, (Seen("rel_a", "d1", "", 3, 2),), 4)
    (text,) = texts
    assert (text.alias, text.kind, text.digest, len(text.text)) == ("agent", "prompt", "d1", TEXT_BYTES)
    assert found == {"agent": frozenset({"d1"}), "other": frozenset()}
