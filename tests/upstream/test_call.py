"""One request to one provider on real sockets: what arrives, and the ways in which no answer comes (faults.md C6, D5 to D8)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault
from gateway.settings.model import EndpointSettings, TimeoutSettings
from gateway.upstream.call import REDIRECTS
from gateway.upstream.faults import UpstreamFault
from gateway.wire.errors import ClientGone
from gateway.wire.flow import Flow
from tests.provider import Provider, Received, Reply, answer, completion, drop, hang, head, raw
from tests.upstream.harness import BODY, ERROR, Rig, ask, fault_of, go, settings


def test_an_answer_comes_as_it_was_sent() -> None:
    """Status, headers and body of the provider; the provider saw our key, its own host and the client's bytes."""
    with Provider() as provider:

        async def scenario(rig: Rig) -> None:
            got = await rig.call(ask(headers=[(b"Authorization", b"Bearer tenant-key"), (b"X-Custom", b"1")]))
            assert (got.out.status, got.endpoint, got.attempts, got.attempt_log) == (200, "openai", 1, ())
            assert got.out.fields[b"content-type"] == b"application/json"
            got.out.abort()
            status, body = await rig.body()
            assert (status, json.loads(body)["model"]) == (200, "gpt-4o-2024-08-06")
            assert rig.count("upstream_requests_total{openai,2xx}") == 2

        go(settings(provider.url), scenario)
        seen = provider.requests[0]
        assert seen.body == BODY
        assert seen.fields["authorization"] == "Bearer provider-key"
        assert seen.fields["host"] == f"127.0.0.1:{provider.port}"
        assert seen.fields["x-custom"] == "1"
        assert "tenant-key" not in str(seen.headers)


def test_connections_are_kept_and_counted() -> None:
    """Calls one after the other use one connection; the registry knows how many are open."""
    with Provider() as provider:

        async def scenario(rig: Rig) -> None:
            for _ in range(5):
                await rig.body()
            assert rig.count("upstream_connections{openai,idle}") == 1
            assert rig.count("upstream_connections{openai,busy}") == 0

        go(settings(provider.url), scenario)
        assert provider.connections == 1


def test_an_unknown_provider_is_not_found() -> None:
    """A provider that nobody configured is a 404 of ours, and nothing is called."""

    async def scenario(rig: Rig) -> None:
        with pytest.raises(Fault) as caught:
            await rig.call(ask(provider="nope"))
        assert (caught.value.status, caught.value.code) == (404, "unknown_provider")

    go(settings("http://127.0.0.1:1"), scenario)


def test_other_methods_and_uploads_pass() -> None:
    """A pass-through call carries any method, path, query and a body that comes in pieces."""

    class Pieces:
        """An upload."""

        length: int | None = None

        def __init__(self) -> None:
            self.left = [b"one", b"two", b""]

        async def chunk(self) -> bytes:
            """The next piece."""
            return self.left.pop(0)

    with Provider(answer({"ok": True})) as provider:

        async def scenario(rig: Rig) -> None:
            passed: dict[str, Any] = {"generation": False, "retryable": False, "model": ""}
            await rig.body(ask(method="GET", path="/v1/files", query="limit=2&after=%20x", body=None, **passed))
            await rig.body(ask(method="PUT", path="/v1/files/a", body=Pieces(), **passed))

        go(settings(provider.url), scenario)
        first, second = provider.requests
        assert (first.method, first.target, first.body) == ("GET", "/v1/files?limit=2&after=%20x", b"")
        assert (second.method, second.body) == ("PUT", b"onetwo")


def test_wire_model_is_the_deployment() -> None:
    """The name for the body is what the endpoint calls the snapshot; what its map does not name, it does not serve."""
    endpoints = (EndpointSettings(url="https://n.openai.azure.com", models={"gpt-4o-2024-08-06": "prod"}),)

    async def scenario(rig: Rig) -> None:
        assert rig.upstreams.wire_model("openai", "gpt-4o-2024-08-06") == "prod"
        assert rig.upstreams.wire_model("openai", "prod") == "prod"
        with pytest.raises(Fault) as caught:
            rig.upstreams.wire_model("openai", "other")
        assert (caught.value.status, caught.value.code) == (404, "model_not_found")

    go(settings("https://n.openai.azure.com", endpoints=endpoints), scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"220 mail.example.com ESMTP\r\n\r\n",
    ],
    ids=["two lengths", "coding", "1xx flood", "not http"],
)
def test_d5_what_is_not_http_is_a_protocol_fault(data: bytes) -> None:
    """An answer that could be read in two ways is none: 502, not repeated, connection closed."""
    with Provider(raw(data)) as provider:
        fault, rig = fault_of(settings(provider.url))
        assert (fault.status, fault.code, fault.retry) == (502, "upstream_protocol", False)
        assert len(provider.requests) == 1
        assert rig.count("upstream_errors_total{openai,shape}") == 1


def test_d6_a_silent_provider_is_a_timeout() -> None:
    """At the first-byte limit the client gets 504 and the provider's connection is closed; nothing is repeated."""
    with Provider(hang) as provider:
        limits = TimeoutSettings(connect=1.0, first_byte=0.2)
        fault, rig = fault_of(settings(provider.url, timeouts=limits))
        assert (fault.status, fault.code, fault.retry, fault.outcome) == (
            504,
            "upstream_timeout",
            False,
            Outcome.TIMEOUT,
        )
        assert rig.count("upstream_errors_total{openai,ttfb}") == 1
        assert provider.requests[0].gone.wait(2)
        assert len(provider.requests) == 1


def test_d8_a_lost_connection_is_maybe_sent() -> None:
    """A kept connection that breaks as the POST goes out: 502 maybe_sent, sent once, the SDK is told to stop."""
    with Provider() as provider:
        provider.then(completion(), drop)

        async def scenario(rig: Rig) -> UpstreamFault:
            await rig.body()
            with pytest.raises(UpstreamFault) as caught:
                await rig.call()
            return caught.value

        fault = go(settings(provider.url), scenario)
        assert (fault.status, fault.code, fault.retry) == (502, "maybe_sent", False)
        assert (fault.outcome, fault.attempt_log) == (Outcome.MAYBE_SENT, ("maybe_sent",))
        assert len(provider.requests) == 2
        assert provider.connections == 1


def test_d8_a_connection_known_to_be_closed_is_skipped() -> None:
    """A kept connection that the provider closed while idle costs nothing: the call takes a new one."""
    with Provider() as provider:

        async def close_after(received: Received, reply: Reply) -> None:
            await completion()(received, reply)
            reply.close()

        provider.then(close_after)

        async def scenario(rig: Rig) -> None:
            await rig.body()
            await asyncio.sleep(0.05)
            got = await rig.call()
            assert (got.out.status, got.attempts) == (200, 1)
            got.out.abort()

        go(settings(provider.url), scenario)
        assert provider.connections == 2


def test_all_connections_in_use() -> None:
    """With every connection taken, the wait is bounded, and the answer says that nothing was sent."""
    with Provider(hang) as provider:

        async def scenario(rig: Rig) -> UpstreamFault:
            first = asyncio.ensure_future(rig.call())
            await asyncio.to_thread(provider.wait_for, 1)
            with pytest.raises(UpstreamFault) as caught:
                await rig.call()
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert rig.count("breaker_state{openai,gpt-4o-2024-08-06}") == 0
            return caught.value

        limits = TimeoutSettings(connect=0.15, first_byte=5.0)
        fault = go(settings(provider.url, connections=1, timeouts=limits), scenario)
        assert (fault.status, fault.code, fault.retry) == (503, "upstream_busy", True)
        assert len(provider.requests) == 1


def test_e5_a_client_that_leaves_stops_the_provider() -> None:
    """Interrupted while it waits, a call closes its connection at once."""
    with Provider(hang) as provider:

        async def scenario(rig: Rig) -> None:
            ended: list[BaseException | None] = []

            async def body() -> None:
                await rig.upstreams.call(ask())

            flow = Flow(body(), ended.append)
            flow.start()
            await asyncio.to_thread(provider.wait_for, 1)
            flow.interrupt(ClientGone("wait"))
            assert isinstance(ended[0], ClientGone)
            assert await asyncio.to_thread(provider.requests[0].gone.wait, 1)

        go(settings(provider.url), scenario)


def test_e5_a_client_that_leaves_during_a_pause_is_not_called_for() -> None:
    """Interrupted while a refusal is waited out, nothing is sent again."""
    with Provider(answer(ERROR, 429, {"retry-after": "1"})) as provider:

        async def scenario(rig: Rig) -> None:
            ended: list[BaseException | None] = []

            async def body() -> None:
                await rig.upstreams.call(ask())

            flow = Flow(body(), ended.append)
            flow.start()
            await asyncio.to_thread(provider.wait_for, 1)
            await asyncio.sleep(0.1)
            flow.interrupt(ClientGone("wait"))
            assert isinstance(ended[0], ClientGone)
            await asyncio.sleep(1.1)

        go(settings(provider.url), scenario)
        assert len(provider.requests) == 1


@pytest.mark.parametrize("status", sorted(REDIRECTS))
def test_c6_redirects_are_not_followed(status: int) -> None:
    """Neither the prompt nor a key goes where a redirect points; the client gets 502."""
    with (
        Provider() as target,
        Provider(answer(b"", status, {"location": target.url + "/v1/chat/completions"})) as provider,
    ):
        fault, rig = fault_of(settings(provider.url))
        assert (fault.status, fault.code, fault.retry) == (502, "upstream_redirect", False)
        assert rig.count("upstream_errors_total{openai,redirect}") == 1
        assert len(provider.requests) == 1
        assert target.connections == 0


def test_c6_cookies_are_not_kept() -> None:
    """A provider's cookie is never sent back, by nobody's request."""
    with Provider(answer({"ok": 1}, 200, {"set-cookie": "session=1; Path=/"})) as provider:

        async def scenario(rig: Rig) -> None:
            await rig.body()
            await rig.body(ask(headers=[(b"Cookie", b"session=2")]))

        go(settings(provider.url), scenario)
        assert all("cookie" not in each.fields for each in provider.requests)


def test_not_modified_is_no_redirect() -> None:
    """A 304 on a pass-through passes."""
    with Provider(raw(head(304, {"etag": '"a"'}))) as provider:

        async def scenario(rig: Rig) -> None:
            assert await rig.body(ask(method="GET", body=None, generation=False, retryable=False)) == (304, b"")

        go(settings(provider.url), scenario)
