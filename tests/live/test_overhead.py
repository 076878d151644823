"""The gateway's own share of a request's time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.overhead import millis, overhead
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, completion


def life(started: float, forwarded: float) -> Any:
    """As much of a life as the definition looks at."""
    return cast("Any", SimpleNamespace(incoming=SimpleNamespace(started=started), forwarded=forwarded))


def test_the_providers_time_does_not_count() -> None:
    """From the complete request to the call; all of it when no provider was called."""
    assert overhead(life(1.0, 1.25), 9.0) == pytest.approx(0.25)
    assert overhead(life(1.0, 0.0), 9.0) == pytest.approx(8.0)


@given(st.floats(0, 1e6))
def test_milliseconds_have_three_decimals(seconds: float) -> None:
    """Within half a microsecond of the time, and never written with more than three decimals."""
    told = millis(seconds)
    assert abs(told - seconds * 1e3) <= 0.000_501
    assert told == round(told, 3)


def test_a_slow_provider_makes_no_overhead(gateway: LiveGateway, provider: Provider) -> None:
    """The histogram of a request whose provider took long holds the gateway's part only."""

    async def slow(received: Any, reply: Any) -> None:
        await asyncio.sleep(0.3)
        await completion()(received, reply)

    gateway.alias("gpt-4o", release("openai/gpt-4o-2024-08-06"))
    provider.then(slow)
    assert gateway.chat("gpt-4o", {"x-trivet-run": "r1"}).status == 200
    gateway.wait(lambda: len(gateway.flow(gateway.store.run_record("default", "r1")).entries) == 2)
    step = gateway.flow(gateway.store.run_record("default", "r1")).entries[-1]
    assert step.total_ms >= 300
    assert step.overhead_ms <= step.total_ms - 300
