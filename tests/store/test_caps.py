"""Caps of the shadow that hold over all workers, on a real server."""

from __future__ import annotations

import pytest

from gateway.store import caps
from gateway.store.caps import HOUR_MS, Admitted, Caps
from gateway.store.client import Store

pytestmark = pytest.mark.anyio
NOW = 500_000 * HOUR_MS
LIMITS = Caps(slots=2, budget=1000, lease_ms=5000)
YES = Admitted("", 0)


async def test_slots_hold_over_all_workers(store: Store) -> None:
    """Never more calls at a time than slots; a slot comes back when it is released, or when its worker's lease is over."""
    assert await caps.admit(store, LIMITS, "openai", "a", NOW) == YES
    assert await caps.admit(store, LIMITS, "openai", "b", NOW) == YES
    assert (await caps.admit(store, LIMITS, "openai", "c", NOW)).why == "slots"
    await caps.release(store, "a", 0, NOW)
    assert await caps.admit(store, LIMITS, "other", "c", NOW) == YES
    assert (await caps.admit(store, LIMITS, "openai", "d", NOW + 4999)).why == "slots"
    assert await caps.admit(store, LIMITS, "openai", "d", NOW + 5000) == YES


async def test_the_budget_is_an_hours(store: Store) -> None:
    """What was spent stops further calls until the hour is over, and is forgotten later; without a budget nothing stops."""
    await caps.release(store, "x", 999, NOW)
    assert await caps.admit(store, LIMITS, "openai", "a", NOW) == YES
    await caps.release(store, "a", 1, NOW + 1)
    assert await caps.spent(store, NOW) == 1000
    assert await caps.admit(store, LIMITS, "openai", "b", NOW + 1) == Admitted("budget", NOW + HOUR_MS)
    assert await caps.admit(store, Caps(2, 0, 5000), "openai", "b", NOW + 1) == YES
    assert await caps.admit(store, LIMITS, "openai", "c", NOW + HOUR_MS) == YES
    await caps.admit(store, LIMITS, "openai", "d", NOW + 2 * HOUR_MS)
    assert await caps.spent(store, NOW) == 0


async def test_a_pause_never_becomes_shorter(store: Store) -> None:
    """A paused provider gets no call until then, whoever asked for a shorter pause meanwhile; others go on."""
    await caps.pause(store, "openai", NOW + 100)
    await caps.pause(store, "openai", NOW + 50)
    assert await caps.admit(store, LIMITS, "openai", "a", NOW + 99) == Admitted("paused", NOW + 100)
    assert await caps.pauses(store, NOW) == {"openai": NOW + 100}
    assert await caps.admit(store, LIMITS, "anthropic", "a", NOW) == YES
    assert await caps.admit(store, LIMITS, "openai", "b", NOW + 100) == YES
    assert await caps.pauses(store, NOW + 100) == {}


async def test_a_worker_that_came_back_gives_up_its_earlier_slots(store: Store) -> None:
    """A restart does not wait for the leases of the process that died; other workers keep theirs."""
    await caps.admit(store, LIMITS, "openai", "w1.req.rel", NOW)
    await caps.admit(store, LIMITS, "openai", "w10.req.rel", NOW)
    await caps.forget(store, "w1")
    assert await caps.admit(store, LIMITS, "openai", "w2.req.rel", NOW) == YES
    assert (await caps.admit(store, LIMITS, "openai", "w3.req.rel", NOW)).why == "slots"
