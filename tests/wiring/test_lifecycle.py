"""Retirement is followed by the background process that leads: asked, warned of, counted, and never in the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault, Kind
from gateway.core.pinning.lifecycle import day
from gateway.settings.model import ProviderSettings
from gateway.store import aliases, snapshots
from gateway.telemetry.counters import Registry
from gateway.wiring import lifecycle
from tests.control.conftest import MODELS, Make, Place, desk, made, package_redis, pins, placed
from tests.provider import Provider, answer

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

TODAY = day("2026-11-23") * 86_400_000


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.mark.anyio
async def test_a_round_asks_warns_and_counts(
    desk: Desk, placed: Place, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the provider says is in the store, in the history and in the metrics a round later; who no longer leads shows nothing."""
    monkeypatch.setattr(lifecycle, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(lifecycle, "ROUND_SECONDS", 0.02)
    await placed("agent", {"*": "B"})
    with Provider(answer({"id": "x", "shutdown_date": "2026-12-01"})) as provider:
        here = ProviderSettings(base_url=provider.url, api_key="sk-own", vendor="openai", allow_private=True)
        settings = msgspec.structs.replace(desk.settings, providers={"openai": here})
        today = replace(desk, settings=settings, now_ms=TODAY)
        registry, leads = Registry(), [True]
        registry.know("alias", ["agent"])

        async def now() -> Desk:
            return today

        task = asyncio.create_task(lifecycle.following(now, registry, lambda: leads[0]))
        labels = ("agent", await made("B"), MODELS["B"])
        for _ in range(200):
            await asyncio.sleep(0.02)
            if dict(registry.snapshot().numbers.get("retirement_days", [])) == {labels: 8}:
                break
        else:
            raise AssertionError(registry.snapshot().numbers.get("retirement_days"))
        assert len(provider.requests) == 1
        leads[0] = False
        await asyncio.sleep(0.1)
        assert not registry.snapshot().numbers.get("retirement_days")
        task.cancel()
    assert (await snapshots.retirements(desk.store, [MODELS["B"]]))[MODELS["B"]].retires == "2026-12-01"
    notes = [entry.reason for entry in await aliases.history(desk.store, "agent") if entry.action == "lifecycle"]
    # Nobody was warned of the calendar's own date, which is another one.
    assert len(notes) == 1
    assert "retires on 2026-12-01, in 8 days" in notes[0]


def test_a_store_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds go on while the store cannot be asked, and a process that does not lead asks nobody."""
    monkeypatch.setattr(lifecycle, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(lifecycle, "ROUND_SECONDS", 0.001)
    asked = []

    async def away() -> Desk:
        asked.append(1)
        raise Fault(Kind.OVERLOADED, "store_unavailable", "away")

    async def watch(leads: bool) -> None:
        task = asyncio.create_task(lifecycle.following(away, Registry(), lambda: leads))
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()

    asyncio.run(watch(leads=False))
    assert asked == []
    asyncio.run(watch(leads=True))
    assert len(asked) > 1
