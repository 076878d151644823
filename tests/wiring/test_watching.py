"""Who answers is watched by the background process that leads, and counted."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.sentinel import Identity
from gateway.store import aliases
from gateway.telemetry.counters import Registry, flat
from gateway.wiring import watching
from tests.control.conftest import MODELS, Make, Place, desk, made, package_redis, pins, placed

__all__ = ["desk", "made", "package_redis", "pins", "placed"]


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.mark.anyio
async def test_a_round_tells_and_counts(desk: Desk, placed: Place, made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alarm is an increase of a number that was there; a store that is away ends nothing; who no longer leads shows nothing."""
    monkeypatch.setattr(watching, "ROUND_SECONDS", 0.02)
    await placed("agent", {"*": "A"})
    registry, leads, asked = Registry(), [True], []

    async def now() -> Desk:
        asked.append(1)
        if len(asked) == 1:
            raise Fault(Kind.OVERLOADED, "store_unavailable", "away")
        return desk

    def read() -> dict[str, float]:
        return flat(registry.snapshot())

    async def until(name: str, value: float | None) -> None:
        async with asyncio.timeout(5):
            while read().get(name) != value:
                await asyncio.sleep(0.01)

    task = asyncio.create_task(watching.watching(now, registry, lambda: leads[0]))
    epoch, is_open = (f"drift_{word}{{{MODELS['A']}}}" for word in ("epoch", "open"))
    await until(epoch, 1)
    assert read()["drift_alarms_total{model}"] == 0
    for name in ("other", "openai/gpt-4o"):
        said = Identity(MODELS["A"], "openai", name, "", "rel", "agent", 1, mismatch=True)
        await desk.store.do("XADD", desk.store.keys.identities(), "*", "entry", msgspec.json.encode(said))
    await until(is_open, 1)
    assert (read()[epoch], read()["drift_alarms_total{model}"]) == (3, 1)
    assert [each.action for each in await aliases.history(desk.store, "agent")] == ["drift", "first_release"]
    leads[0] = False
    await until(epoch, None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
