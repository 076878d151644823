"""The breaker on the way of a call, and what a reload does to calls (faults.md D11, C5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault
from gateway.settings.model import ProviderSettings, RetrySettings, Settings
from gateway.upstream.faults import UpstreamFault
from gateway.wire.errors import ClientGone
from gateway.wire.flow import Flow, run
from tests.ports import free_port
from tests.provider import Behaviour, Provider, answer, completion, drop, hang, raw, stream
from tests.upstream.harness import ERROR, LIMITS, Rig, ask, go, settings

QUICK = RetrySettings(minimum=0, budget=0.0, breaker_seconds=0.2)


@pytest.mark.parametrize(
    "behaviour", [answer(ERROR, 500), drop, raw(b"rubbish\r\n\r\n")], ids=["500", "lost", "rubbish"]
)
def test_d11_five_failures_hold_calls_back(behaviour: Behaviour) -> None:
    """After five failures in a row the sixth call is not made: 503 with a wait; other models are called as before."""
    with Provider(behaviour) as provider:

        async def one(rig: Rig, **members: Any) -> int:
            try:
                got = await rig.call(ask(**members))
            except UpstreamFault as fault:
                return fault.status if fault.code != "breaker_open" else -fault.status
            got.out.abort()
            return got.out.status

        async def scenario(rig: Rig) -> None:
            assert all([await one(rig) > 0 for _ in range(5)])
            assert await one(rig) == -503
            assert rig.count("breaker_state{openai,gpt-4o-2024-08-06}") == 2
            assert await one(rig, model="other") > 0
            provider.default = completion()
            await asyncio.sleep(0.25)
            assert await one(rig) == 200
            assert rig.count("breaker_state{openai,gpt-4o-2024-08-06}") == 0
            assert await one(rig) == 200

        go(settings(provider.url, retry=QUICK), scenario)
        assert len(provider.requests) == 8


def test_d11_the_open_breaker_says_how_long() -> None:
    """The answer of an open breaker has a wait, tells the SDK that nothing was sent, and counts as a failed call."""

    async def scenario(rig: Rig) -> None:
        for _ in range(5):
            with pytest.raises(UpstreamFault):
                await rig.call()
        with pytest.raises(UpstreamFault) as caught:
            await rig.call()
        fault = caught.value
        assert (fault.code, fault.status, fault.retry, fault.outcome) == ("breaker_open", 503, True, Outcome.REFUSED)
        assert fault.retry_after is not None
        assert 1 <= fault.retry_after <= 10
        assert rig.count("upstream_errors_total{openai,breaker}") == 1

    go(settings(f"http://127.0.0.1:{free_port()}", retry=RetrySettings(minimum=0, budget=0.0)), scenario)


def test_d11_refusals_are_no_failures() -> None:
    """Quota, missing models and bad requests say nothing against the provider."""
    with Provider() as provider:
        provider.then(*(answer(ERROR, status) for status in (429, 404, 410, 400, 401, 429, 404)))

        async def scenario(rig: Rig) -> None:
            for _ in range(8):
                got = await rig.call()
                got.out.abort()
            assert got.out.status == 200

        go(settings(provider.url), scenario)


def test_d11_a_probe_whose_client_left_lets_the_next_one_probe() -> None:
    """A half-open breaker does not wait for a client that is gone."""
    with Provider(answer(ERROR, 500)) as provider:

        async def scenario(rig: Rig) -> None:
            for _ in range(5):
                (await rig.call()).out.abort()
            provider.default = hang
            await asyncio.sleep(0.25)
            ended: list[BaseException | None] = []

            async def body() -> None:
                await rig.upstreams.call(ask())

            flow = Flow(body(), ended.append)
            flow.start()
            await asyncio.to_thread(provider.wait_for, 6)
            flow.interrupt(ClientGone("wait"))
            provider.default = completion()
            got = await rig.call()
            assert got.out.status == 200
            got.out.abort()

        go(settings(provider.url, retry=QUICK), scenario)


def test_c5_reload_keeps_what_did_not_change() -> None:
    """An unchanged provider keeps its connections; a changed one gets its new key at the next call, a removed one is gone."""
    with Provider() as provider:

        async def scenario(rig: Rig) -> None:
            await rig.body()
            same = settings(provider.url)
            rig.upstreams.renew(same)
            await rig.body()
            assert provider.connections == 1
            rig.upstreams.renew(settings(provider.url, api_key="new-key"))
            await rig.body()
            assert provider.requests[-1].fields["authorization"] == "Bearer new-key"
            assert provider.connections == 2
            other = ProviderSettings(base_url=provider.url, allow_private=True, timeouts=LIMITS)
            rig.upstreams.renew(Settings(providers={"other": other}))
            with pytest.raises(Fault):
                await rig.call()

        go(settings(provider.url), scenario)


def test_c5_reload_lets_a_stream_end() -> None:
    """A stream that runs while its provider leaves the settings runs to its end; then its connections are closed."""
    pieces = [b"data: %d\n\n" % number for number in range(5)]
    with Provider(stream(pieces, gap=0.05)) as provider:

        async def scenario(rig: Rig, monkey: pytest.MonkeyPatch) -> None:
            monkey.setattr("gateway.upstream.call.RETIRE_SECONDS", 0.05)

            async def reading() -> bytes:
                got = await rig.upstreams.call(ask())
                rig.upstreams.renew(Settings())
                read = b""
                while data := await got.out.chunk():
                    read += data
                return read

            assert await run(reading()) == b"".join(pieces)
            await asyncio.sleep(0.2)
            assert provider.open == 0

        with pytest.MonkeyPatch.context() as monkey:
            go(settings(provider.url), lambda rig: scenario(rig, monkey))
