"""Proofs are kept by the background process that leads: probed once it may, counted for a scrape, and never in the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault, Kind
from gateway.settings.model import ProviderSettings
from gateway.telemetry.counters import Registry, flat
from gateway.upstream.ownport import DataPort
from gateway.wiring import proving
from tests.control.conftest import Make, Place, desk, made, package_redis, pins, placed
from tests.provider import Provider, answer, chat_body

__all__ = ["desk", "made", "package_redis", "pins", "placed"]
PORT = {"x-trivet-release": "rel_1"}


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.mark.anyio
async def test_a_round_probes_and_counts(
    desk: Desk, placed: Place, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First nobody is asked; then what nothing proves; who no longer leads shows nothing. A port that is not there ends nothing."""
    for name, seconds in (("FIRST_SECONDS", 0.0), ("ROUND_SECONDS", 0.02), ("PROBES_AFTER", 0.2)):
        monkeypatch.setattr(proving, name, seconds)
    await placed("agent", {"*": "BA", "tenant:a": "A"})
    a, b = await made("A"), await made("B")
    with Provider(answer(chat_body("x", "m"), headers=PORT)) as provider:
        there = ProviderSettings(base_url=provider.url, api_key="sk-own", vendor="openai", allow_private=True)
        settings = msgspec.structs.replace(desk.settings, providers={"openai": there})
        ports = [DataPort(provider.url, b"k" * 32)]
        registry, leads, asked = Registry(), [True], []
        registry.know("alias", ["agent"])

        def port() -> DataPort:
            asked.append(1)
            if len(asked) == 1:
                raise Fault(Kind.CONFLICT, "no_data_port", "not yet")
            return ports[0]

        async def now() -> Desk:
            if not asked:
                assert not provider.requests
            return replace(desk, settings=settings, data_port=port)

        def read() -> dict[str, float]:
            return flat(registry.snapshot())

        async def until(name: str, value: float | None) -> None:
            async with asyncio.timeout(5):
                while read().get(name) != value:
                    await asyncio.sleep(0.01)

        task = asyncio.create_task(proving.proving(now, registry, lambda: leads[0]))
        await until("warm_releases{agent,*}", 0)
        await until("warm_releases{agent,*}", 1)
        found = read()
        assert (found[f"warm_state{{agent,{a},proven}}"], found[f"warm_state{{agent,{b},dead}}"]) == (1, 0)
        assert "warm_releases{agent,tenant:a}" not in found
        assert (found["probes_total{worked}"], found["probe_calls"]) == (2, 2)
        assert len(provider.requests) == 2
        leads[0] = False
        await until("warm_releases{agent,*}", None)
        task.cancel()
