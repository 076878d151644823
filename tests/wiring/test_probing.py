"""Stable releases are probed by the background process that leads, and what windows come to is counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.core.contract.probing import Passive
from gateway.sentinel import passive
from gateway.settings.model import ProbeDeclared, ProviderSettings
from gateway.store import aliases as aliases_of
from gateway.store import probes
from gateway.telemetry.counters import Registry, flat
from gateway.upstream.ownport import DataPort
from gateway.wiring import probing
from tests.control.conftest import Make, Place, desk, made, package_redis, pins, placed
from tests.provider import Provider, answer, chat_body

__all__ = ["desk", "made", "package_redis", "pins", "placed"]
OURS = {"x-trivet-release": "rel_1"}


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.mark.anyio
async def test_windows_are_run_and_counted(
    desk: Desk, placed: Place, made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference, then windows against it; an alias whose file is gone is said and holds up nobody; who no longer leads stops."""
    monkeypatch.setattr(probing, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(probing, "ROUND_SECONDS", 0.02)
    await placed("agent", {"*": "A"})
    await placed("usual", {"*": "B"})
    a = await made("A")
    (tmp_path / "p.jsonl").write_text('"one"\n"two"')
    with Provider(answer(chat_body("always so", "m"), headers=OURS)) as provider:
        there = ProviderSettings(base_url=provider.url, api_key="sk-own", vendor="openai", allow_private=True)
        aliases = {
            name: msgspec.structs.replace(
                desk.settings.aliases[name], probes=ProbeDeclared(str(tmp_path / file), samples=2, every=0.05)
            )
            for name, file in (("usual", "gone.jsonl"), ("agent", "p.jsonl"))
        }
        settings = msgspec.structs.replace(desk.settings, providers={"openai": there}, aliases=aliases)
        registry, leads, moments = Registry(), [True], [0]
        registry.know("alias", ["agent"])
        risen = Passive(alarms=1, alarm="schema", alarm_ms=desk.now_ms, test="e-detector on the traffic")
        model = (await desk.release(a)).triple.model
        await probes.put_passive(desk.store, model, passive.field("agent", a), risen)

        async def now() -> Desk:
            moments[0] += 1000
            port = DataPort(provider.url, b"k" * 32)
            return replace(desk, settings=settings, data_port=lambda: port, now_ms=desk.now_ms + moments[0])

        def read() -> dict[str, float]:
            return flat(registry.snapshot())

        task = asyncio.create_task(probing.probing(now, registry, lambda: leads[0]))
        async with asyncio.timeout(10):
            while read().get("probe_windows_total{same}", 0) < 2:
                await asyncio.sleep(0.01)
        found = read()
        assert found[f"probe_p{{agent,{a}}}"] == 1.0
        assert found["probe_windows_total{reference}"] == 1
        assert not found.get("probe_windows_total{differs}")
        told = [each for each in await aliases_of.history(desk.store, "agent") if each.action == "traffic"]
        assert [each.reason for each in told] == [f"{model}: e-detector on the traffic"], (
            "what the last leader saw, once"
        )
        leads[0] = False
        await asyncio.sleep(0.1)
        asked = len(provider.requests)
        await asyncio.sleep(0.1)
        assert len(provider.requests) == asked
        task.cancel()
