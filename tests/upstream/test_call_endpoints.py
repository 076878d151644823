"""One request to a provider with several endpoints: whom it reaches, when it goes on, and what is never passed on."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import pytest

from gateway.core.contract.fault import Fault
from gateway.settings.model import EndpointSettings, RetrySettings, Settings, TimeoutSettings
from gateway.upstream.call import Ask
from gateway.upstream.faults import UpstreamFault
from gateway.wire.errors import DeadlineExceeded, UpstreamLost
from tests.ports import free_port
from tests.provider import Behaviour, Provider, Received, Reply, answer, completion, drop, hang, head, stream
from tests.upstream.harness import BODY, ERROR, Rig, ask, go, settings

MODEL = "gpt-4o-2024-08-06"
QUOTA = {"error": {"message": "no", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}
FREE = RetrySettings(budget=1.0, minimum=1000)


@contextmanager
def hosts(*behaviours: Behaviour) -> Iterator[list[Provider]]:
    """Hosts that behave so."""
    with ExitStack() as stack:
        yield [stack.enter_context(Provider(each)) for each in behaviours]


def several(*urls: str, retry: RetrySettings | None = None, own: dict[int, dict[str, Any]] | None = None) -> Settings:
    """Settings with these endpoints in the order they are tried: the first has the weight, the others are standbys."""
    each = [
        EndpointSettings(
            **{"url": url, "api_key": f"provider-key-{number}", "weight": not number, **(own or {}).get(number, {})}
        )
        for number, url in enumerate(urls)
    ]
    return settings(urls[0], endpoints=tuple(each), retry=retry)


def dead() -> str:
    """A host that refuses connections."""
    return f"http://127.0.0.1:{free_port()}"


async def got(rig: Rig, **members: Any) -> tuple[int, str, int, tuple[str, ...]]:
    """Status, endpoint, attempts and log of a call."""
    try:
        answered = await rig.call(ask(unit="r", **members))
    except UpstreamFault as fault:
        return fault.status, fault.endpoint, fault.attempts, fault.attempt_log
    answered.out.abort()
    return answered.out.status, answered.endpoint, answered.attempts, answered.attempt_log


def test_runs_are_spread_and_each_keeps_its_own() -> None:
    """Both endpoints are called, and every step of a run is at the same one."""
    with hosts(completion(), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            at = {}
            for run in [f"r{n}" for n in range(12)] * 2:
                answered = await rig.call(ask(unit=run))
                answered.out.abort()
                assert at.setdefault(run, answered.endpoint) == answered.endpoint
            assert set(at.values()) == {"openai", "openai#1"}

        go(several(one.url, two.url, own={1: {"weight": 1}}), scenario)
        assert len(one.requests) + len(two.requests) == 24


def test_d1_an_unreachable_endpoint_is_left_at_once() -> None:
    """Nothing was sent, so the next endpoint gets the call, out of the retry budget, and the log says whom it did not reach."""
    with hosts(completion()) as (host,):

        async def scenario(rig: Rig) -> None:
            assert await got(rig) == (200, "openai#2", 3, ("openai:connect", "openai#1:connect"))
            assert rig.count("retries_total{openai,connect}") == 2
            assert rig.count("failovers_total{openai,connect}") == 2

        go(several(dead(), dead(), host.url), scenario)


def test_d1_all_endpoints_unreachable() -> None:
    """Each is tried once, then the client gets the fault of the last, to be retried."""

    async def scenario(rig: Rig) -> None:
        assert await got(rig) == (502, "openai#1", 2, ("openai:connect", "openai#1:connect"))

    go(several(dead(), dead()), scenario)


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("wait", [None, "600"])
def test_d2_d4_a_refusal_goes_on_without_waiting(status: int, wait: str | None) -> None:
    """Whatever wait a refusing endpoint asks for, another one is called at once; the first then rests."""
    refusal = answer(ERROR, status, {"retry-after": wait} if wait else None)
    with hosts(refusal, completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            assert await got(rig) == (200, "openai#1", 2, (f"openai:{status}",))
            assert await got(rig) == (200, "openai#1", 1, ())
            assert await got(rig, model="other") == (200, "openai#1", 2, (f"openai:{status}",))
            assert rig.count("failovers_total{openai,rest}") == 1

        go(several(one.url, two.url), scenario)
        assert (len(one.requests), len(two.requests)) == (2, 3)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [(answer(ERROR, code), code) for code in (400, 401, 404, 408, 409, 500, 502, 504)] + [(drop, 502)],
)
def test_d4_d8_what_may_have_been_worked_on_goes_nowhere_else(behaviour: Behaviour, status: int) -> None:
    """Other errors and lost connections are the client's, and no other endpoint hears of the request."""
    with hosts(behaviour, completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            assert (await got(rig))[:3] == (status, "openai", 1)

        go(several(one.url, two.url), scenario)
        assert (len(one.requests), len(two.requests)) == (1, 0)


def test_d6_silence_is_not_repeated_elsewhere() -> None:
    """A first-byte limit at one endpoint ends the call: the provider may be at work on it. Each endpoint has the limit."""
    with hosts(hang, hang) as (one, two):
        made = several(one.url, two.url)
        slow = made.providers["openai"]
        limits = TimeoutSettings(connect=1, first_byte=0.1, between_chunks=0.1)
        made = Settings(providers={"openai": msgspec.structs.replace(slow, timeouts=limits)})

        async def scenario(rig: Rig) -> None:
            assert await got(rig) == (504, "openai", 1, ("openai:ttfb",))
            assert await got(rig, client_retry=1) == (504, "openai#1", 1, ("openai#1:ttfb",))

        go(made, scenario)
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def _stalls(_received: Received, reply: Reply) -> None:
    """Half a body, then nothing."""
    await reply.write(head(200, {"content-type": "application/json", "content-length": "500"}) + b"{")
    await asyncio.sleep(600)


async def _drips(_received: Received, reply: Reply) -> None:
    """A body without end."""
    await reply.write(head(200, {"content-type": "application/json", "content-length": "5000"}))
    while True:
        await reply.write(b" ")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize(
    ("behaviour", "limits", "phase"),
    [
        (_stalls, {"between_chunks": 0.1}, "between_chunks"),
        (_drips, {"total": 0.3}, "total"),
        (hang, {"first_byte": 0.1}, "first_byte"),
    ],
)
def test_d6_d7_each_endpoint_has_the_provider_s_limits(
    behaviour: Behaviour, limits: dict[str, float], phase: str, turn: int
) -> None:
    """Silence before, between and all in all ends at the limit of the phase, at whichever endpoint, and nowhere else is asked."""
    with hosts(behaviour, behaviour) as pair:
        made = several(*(each.url for each in pair))
        limited = msgspec.structs.replace(made.providers["openai"], timeouts=TimeoutSettings(connect=1, **limits))

        async def scenario(rig: Rig) -> None:
            with pytest.raises((DeadlineExceeded, UpstreamFault)) as caught:
                await rig.body(ask(unit="r", client_retry=turn))
            late = caught.value
            seen = late.phase if isinstance(late, DeadlineExceeded) else late.failure
            assert seen == {"first_byte": "ttfb"}.get(phase, phase)

        go(Settings(providers={"openai": limited}), scenario)
        assert [len(each.requests) for each in pair] == [turn == 0, turn == 1]


def test_d1_each_endpoint_has_the_provider_s_connect_limit() -> None:
    """A host that does not take connections is left after `connect` seconds, and the next one serves."""
    with socket.socket() as full, hosts(completion()) as (host,):
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = [socket.socket() for _ in range(4)]
        for each in others:
            each.settimeout(0)
            each.connect_ex(full.getsockname())
        made = several(f"http://127.0.0.1:{full.getsockname()[1]}", host.url)
        limited = msgspec.structs.replace(made.providers["openai"], timeouts=TimeoutSettings(connect=0.2))

        async def scenario(rig: Rig) -> None:
            begun = asyncio.get_running_loop().time()
            assert await got(rig) == (200, "openai#1", 2, ("openai:connect",))
            assert 0.15 < asyncio.get_running_loop().time() - begun < 3

        go(Settings(providers={"openai": limited}), scenario)
        for each in others:
            each.close()


def test_never_after_the_first_byte() -> None:
    """A stream that is cut is the client's, however many endpoints would be left."""
    with hosts(stream([b"data: 1\n\n"], end="cut"), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            with pytest.raises(UpstreamLost):
                await rig.body(ask(unit="r"))

        go(several(one.url, two.url), scenario)
        assert len(two.requests) == 0


def test_d3_a_spent_quota_needs_another_account() -> None:
    """After a spent quota an endpoint with the same key is passed over; without another account the SDK is told to stop."""
    with hosts(answer(QUOTA, 429), completion(), completion()) as (one, same, other):
        shared = {1: {"api_key": "provider-key-0"}}

        async def goes_on(rig: Rig) -> None:
            assert await got(rig) == (200, "openai#2", 2, ("openai:429", "openai#1:passed"))

        go(several(one.url, same.url, other.url, own=shared), goes_on)
        assert (len(same.requests), len(other.requests)) == (0, 1)

        async def ends(rig: Rig) -> None:
            answered, settled = await rig.settled(ask(unit="r"))
            assert (answered.out.status, answered.attempts) == (429, 1)
            assert settled.headers == ((b"x-should-retry", b"false"),)

        go(several(one.url, same.url, own=shared), ends)


def test_the_client_s_retry_is_the_failover() -> None:
    """With `x-stainless-retry-count` the gateway calls once, one endpoint further each time."""
    with hosts(answer(ERROR, 500), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            assert await got(rig) == (500, "openai", 1, ())
            assert await got(rig, client_retry=1) == (200, "openai#1", 1, ())

        go(several(one.url, two.url), scenario)

    async def unreachable(rig: Rig) -> None:
        assert await got(rig, client_retry=1) == (502, "openai#1", 1, ("openai#1:connect",))
        assert await got(rig, client_retry=2) == (502, "openai", 1, ("openai:connect",))

    go(several(dead(), dead()), unreachable)


def test_d4_the_budget_bounds_failover() -> None:
    """Beyond the budget a refusal is the client's, who may repeat it elsewhere."""
    with hosts(answer(ERROR, 503, {"retry-after": "0"}), answer(ERROR, 503)) as (one, two):

        async def scenario(rig: Rig) -> None:
            for number in range(20):
                answered, settled = await rig.settled(ask(unit="r", model=f"m{number}"))
                assert not any(name == b"x-should-retry" for name, _ in settled.headers), "nobody has waited"
                assert answered.out.status == 503

        go(several(one.url, two.url), scenario)
        assert len(one.requests) + len(two.requests) == 23


def test_a_refusal_is_told_when_the_next_endpoint_cannot_be_reached() -> None:
    """What a provider said is worth more to the client than that another one said nothing."""
    with hosts(answer(ERROR, 429, {"retry-after": "7"})) as (one,):

        async def scenario(rig: Rig) -> None:
            answered, settled = await rig.settled(ask(unit="r"))
            assert (answered.out.status, json.loads(settled.body), answered.attempts) == (429, ERROR, 2)
            assert answered.attempt_log == ("openai:429", "openai#1:connect")

        go(several(one.url, dead()), scenario)


def test_d11_open_breakers_are_passed_over_and_all_open_is_503() -> None:
    """Breakers are per endpoint and model; passing one over is no attempt, and only all of them open end the request."""
    with hosts(answer(ERROR, 500), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            for _ in range(5):
                await got(rig)
            assert rig.count(f"breaker_state{{openai,{MODEL}}}") == 2
            assert await got(rig) == (200, "openai#1", 1, ("openai:passed",))
            assert await got(rig, client_retry=2) == (200, "openai#1", 1, ("openai:passed",))
            assert await got(rig, model="other") == (500, "openai", 1, ())
            assert rig.count("retries_total{openai,breaker}") == 0
            two.default = answer(ERROR, 500)
            for _ in range(5):
                await got(rig)
            assert await got(rig) == (503, "openai", 0, ("openai:breaker", "openai#1:breaker"))
            with pytest.raises(UpstreamFault) as caught:
                await rig.call(ask(unit="r"))
            assert caught.value.code == "breaker_open"
            assert 1 <= (caught.value.retry_after or 0) <= 10

        go(several(one.url, two.url), scenario)


def test_each_endpoint_gets_its_own_name_key_and_path() -> None:
    """A failover carries the next endpoint's model name in body and path, its key in its vendor's header, and no other's."""
    azure = {"vendor": "azure", "models": {MODEL: "prod"}, "api_version": "2024-10-21"}

    def spell(name: str) -> tuple[str, bytes]:
        return "/v1/chat/completions", json.dumps({"model": name}).encode()

    with hosts(answer(ERROR, 429), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            wanted = ask(unit="r", spell=spell, headers=[(b"Authorization", b"Bearer tenant")], credential=b"tenant")
            assert (await rig.call(wanted)).endpoint == "openai#1"

        go(several(one.url, two.url, own={1: azure}), scenario)
        first, second = one.requests[0], two.requests[0]
        assert (first.json, first.target) == ({"model": MODEL}, "/v1/chat/completions")
        assert first.fields["authorization"] == "Bearer provider-key-0"
        assert second.json == {"model": "prod"}
        assert second.target == "/openai/deployments/prod/chat/completions?api-version=2024-10-21"
        assert second.fields["api-key"] == "provider-key-1"
        assert "authorization" not in second.fields
        assert "tenant" not in str(first.headers) + str(second.headers)


def test_the_caller_s_key_stays_with_its_host() -> None:
    """`client` reaches the host of base_url; another endpoint gets it only where it says so itself."""
    with hosts(answer(ERROR, 429), answer(ERROR, 429), answer(ERROR, 429)) as (one, two, three):
        own = {0: {"api_key": "client"}, 1: {"api_key": ""}, 2: {"api_key": "client"}}
        made = several(one.url, two.url, three.url, own=own)
        provider = msgspec.structs.replace(made.providers["openai"], api_key="client")
        made = Settings(providers={"openai": provider})

        async def scenario(rig: Rig) -> None:
            await got(rig, headers=[(b"Authorization", b"Bearer tenant")], credential=b"tenant")

        go(made, scenario)
        assert one.requests[0].fields["authorization"] == "Bearer tenant"
        assert "tenant" not in str(two.requests[0].headers)
        assert three.requests[0].fields["authorization"] == "Bearer tenant"


def test_an_endpoint_serves_its_models_and_dialects_only() -> None:
    """A map is the whole list, and a dialect that a host does not speak is not sent to it."""
    own = {
        0: {"models": {MODEL: "prod"}, "dialects": ("openai",)},
        1: {"dialects": ("anthropic",), "models": {"c": "d"}},
    }
    with hosts(completion(), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            assert (await got(rig, dialect="openai"))[:2] == (200, "openai")
            assert (await got(rig, dialect="anthropic", model="c"))[:2] == (200, "openai#1")
            assert (await got(rig, model="d"))[:2] == (200, "openai#1")
            for members in ({"dialect": "anthropic"}, {"model": "unknown"}):
                with pytest.raises(Fault) as caught:
                    await rig.call(ask(unit="r", **members))
                assert (caught.value.status, caught.value.code) == (404, "model_not_found")

        go(several(one.url, two.url, own=own), scenario)


def test_state_stays_where_it_is() -> None:
    """What names provider state goes to the run's endpoint, what names no model to the first, and neither goes on."""
    with hosts(answer(ERROR, 429), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            assert await got(rig, stays=True) == (429, "openai", 1, ())
            assert await got(rig, stays=True, client_retry=1) == (429, "openai", 1, ())
            passed: dict[str, Any] = {"method": "GET", "path": "/v1/files", "model": "", "body": None}
            assert await got(rig, generation=False, **passed) == (429, "openai", 1, ())

        go(several(one.url, two.url), scenario)
        assert len(two.requests) == 0


def test_background_calls_take_the_provider_s_background_key_to_its_own_vendor_only() -> None:
    """A key for the background is of the provider's vendor, and no other vendor's host sees it."""
    with hosts(completion(), completion()) as (one, two):
        own = {0: {"api_key": "client"}, 1: {"api_key": "client", "vendor": "azure"}}
        made = several(one.url, two.url, own=own)
        provider = msgspec.structs.replace(made.providers["openai"], background_api_key="background-key")
        made = Settings(providers={"openai": provider})

        async def scenario(rig: Rig) -> None:
            await got(rig)
            await got(rig, client_retry=1)

        go(made, scenario, background=True)
        assert one.requests[0].fields["authorization"] == "Bearer background-key"
        assert "background-key" not in str(two.requests[0].headers)


def test_connections_of_all_endpoints_are_counted() -> None:
    """Seen from outside it is one provider."""
    with hosts(completion(), completion()) as (one, two):

        async def scenario(rig: Rig) -> None:
            await rig.body(ask(unit="r"))
            await rig.body(ask(unit="r", client_retry=1))
            assert rig.count("upstream_connections{openai,idle}") == 2

        go(several(one.url, two.url), scenario)


def test_an_unreadable_body_is_no_reason_to_call_twice() -> None:
    """A body that was streamed through is gone: one call, whatever came of it."""

    class Pieces:
        """An upload."""

        length: int | None = None

        async def chunk(self) -> bytes:
            """The end."""
            return b""

    async def scenario(rig: Rig) -> None:
        wanted: Ask = ask(unit="r", body=Pieces())
        with pytest.raises(UpstreamFault) as caught:
            await rig.call(wanted)
        assert (caught.value.attempts, wanted.model, BODY[:1]) == (1, MODEL, b"{")

    go(several(dead(), dead(), retry=FREE), scenario)
