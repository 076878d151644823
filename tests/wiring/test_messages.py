"""Webhooks are told by the background process that leads, and what came of it is counted."""

from __future__ import annotations

import asyncio

import pytest

from gateway.control.desk import Desk
from gateway.control.webhooks import Messenger
from gateway.core.contract.fault import Fault, Kind
from gateway.telemetry.counters import Registry
from gateway.wiring import messages


def test_what_is_counted() -> None:
    """Results add up over rounds, the age of what waits is in seconds."""
    registry, messenger = Registry(), Messenger()
    for _ in range(2):
        messenger.results["oncall", "failed"] += 1
        messenger.waiting_ms["oncall"] = 2500
        messages.count(messenger, registry)
    assert registry.counter("webhooks_total", "oncall", "failed").n == 2
    assert registry.gauge("webhook_waiting_seconds", "oncall").n == 2


def test_a_store_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds go on while the store cannot be asked, and a process that does not lead asks nobody."""
    monkeypatch.setattr(messages, "ROUND_SECONDS", 0.001)
    asked = []

    async def desk() -> Desk:
        asked.append(1)
        raise Fault(Kind.OVERLOADED, "store_unavailable", "away")

    async def watch(leads: bool) -> None:
        task = asyncio.create_task(messages.telling(desk, Registry(), lambda: leads))
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()

    asyncio.run(watch(leads=False))
    assert asked == []
    asyncio.run(watch(leads=True))
    assert len(asked) > 1
