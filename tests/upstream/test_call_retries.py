"""What is sent again, and what never is (faults.md D1 to D4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.core.contract.exchange import Outcome
from gateway.settings.model import TimeoutSettings
from gateway.upstream.faults import UpstreamFault
from tests.ports import free_port
from tests.provider import Behaviour, Provider, Received, Reply, answer, head
from tests.upstream.harness import BODY, ERROR, Rig, ask, fault_of, go, settings


@contextlib.contextmanager
def no_tls() -> Iterator[int]:
    """A port that answers a TLS greeting with text."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("way", ["refused", "dns", "tls"])
def test_d1_no_connection(way: str) -> None:
    """Refused, unresolvable and not TLS: at most one retry, then 502, and the SDK may try again as nothing was sent."""
    with no_tls() as port:
        url = {
            "refused": f"http://127.0.0.1:{free_port()}",
            "dns": "http://nope.invalid:1",
            "tls": f"https://127.0.0.1:{port}",
        }[way]
        fault, rig = fault_of(settings(url))
    assert (fault.status, fault.code, fault.retry, fault.outcome) == (502, "upstream_connect", True, Outcome.REFUSED)
    assert (fault.attempts, fault.attempt_log, fault.endpoint) == (2, ("connect", "connect"), "openai")
    assert rig.count("upstream_errors_total{openai,connect}") == 2
    assert rig.count("retries_total{openai,connect}") == 1
    assert "127.0.0.1" not in fault.message + repr(fault)


def test_d1_no_answer_to_connect() -> None:
    """A host that does not take the connection is a connect failure after `connect` seconds."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = [socket.socket() for _ in range(4)]
        for each in others:
            each.settimeout(0)
            each.connect_ex(full.getsockname())
        limits = TimeoutSettings(connect=0.2)
        fault, _ = fault_of(
            settings(f"http://127.0.0.1:{full.getsockname()[1]}", timeouts=limits), ask(retryable=False)
        )
        for each in others:
            each.close()
    assert (fault.code, fault.retry) == ("upstream_connect", True)


@pytest.mark.parametrize("members", [{"retryable": False}, {"client_retry": 1}, {"client_retry": 2}])
def test_d1_no_retry_where_somebody_else_retries(members: dict[str, Any]) -> None:
    """When the client's SDK is repeating already, or the request must not be repeated, there is one attempt."""
    fault, rig = fault_of(settings(f"http://127.0.0.1:{free_port()}"), ask(**members))
    assert fault.attempt_log == ("connect",)
    assert rig.count("retries_total{openai,connect}") == 0


def test_d1_the_budget_ends_retries() -> None:
    """Beyond the budget a failing provider gets one attempt per request, and the metric says so."""

    async def scenario(rig: Rig) -> list[int]:
        attempts = []
        for number in range(6):
            with pytest.raises(UpstreamFault) as caught:
                await rig.call(ask(model=f"m{number}"))
            attempts.append(caught.value.attempts)
        assert rig.count("retry_budget_exhausted_total{openai}") == 3
        return attempts

    assert go(settings(f"http://127.0.0.1:{free_port()}"), scenario) == [2, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("status", [429, 503, 529])
def test_d2_a_short_wait_is_sat_out_once(status: int) -> None:
    """A refusal with a wait of up to wait_limit is repeated once; the client sees the answer."""
    with Provider() as provider:
        provider.then(answer(ERROR, status, {"retry-after-ms": "80"}))

        async def scenario(rig: Rig) -> None:
            start = asyncio.get_running_loop().time()
            got = await rig.call()
            assert asyncio.get_running_loop().time() - start >= 0.07
            assert (got.out.status, got.attempts, got.attempt_log) == (200, 2, (str(status),))
            assert rig.count(f"retries_total{{openai,{status}}}") == 1
            assert rig.count(f"upstream_errors_total{{openai,{status}}}") == 1
            got.out.abort()

        go(settings(provider.url), scenario)
        assert [each.body for each in provider.requests] == [BODY, BODY]


@pytest.mark.parametrize(
    ("headers", "members"),
    [
        ({"retry-after": "90"}, {}),
        ({"retry-after": "600"}, {}),
        ({"retry-after": "3"}, {}),
        ({}, {}),
        ({"retry-after": "soon"}, {}),
        ({"retry-after": "-1"}, {}),
        ({"retry-after": "0"}, {"client_retry": 1}),
        ({"retry-after": "0"}, {"retryable": False}),
    ],
)
def test_d2_any_other_refusal_is_the_client_s_at_once(headers: dict[str, str], members: dict[str, Any]) -> None:
    """A long, missing or senseless wait is not waited for; the error is relayed."""
    with Provider(answer(ERROR, 429, headers)) as provider:

        async def scenario(rig: Rig) -> None:
            got, settled = await rig.settled(ask(**members))
            assert (got.out.status, got.attempts, settled.fault) == (429, 1, None)
            assert json.loads(settled.body) == ERROR

        go(settings(provider.url), scenario)
        assert len(provider.requests) == 1


def test_d4_a_second_refusal_stops_the_sdk() -> None:
    """After its own retry the gateway relays the refusal and tells the SDK to stop: retries happen at one layer."""
    with Provider(answer(ERROR, 529, {"retry-after": "0"})) as provider:

        async def scenario(rig: Rig) -> None:
            got, settled = await rig.settled()
            assert (got.attempts, got.attempt_log) == (2, ("529",))
            assert (b"x-should-retry", b"false") in settled.headers
            assert json.loads(settled.body) == ERROR

        go(settings(provider.url), scenario)
        assert len(provider.requests) == 2


@pytest.mark.parametrize("status", [500, 502, 504, 409, 408])
def test_d4_other_errors_are_never_repeated(status: int) -> None:
    """What may have been worked on is not sent again, whatever the headers say."""
    with Provider(answer(ERROR, status, {"retry-after": "0", "x-should-retry": "true"})) as provider:

        async def scenario(rig: Rig) -> None:
            got, settled = await rig.settled()
            assert (got.out.status, got.attempts, settled.headers) == (status, 1, ())

        go(settings(provider.url), scenario)
        assert len(provider.requests) == 1


def test_d4_upstream_hits_stay_within_the_budget() -> None:
    """However many clients meet refusals, the provider sees no more than one call each and the budget on top."""
    with Provider(answer(ERROR, 429, {"retry-after": "0"})) as provider:

        async def scenario(rig: Rig) -> None:
            for _ in range(40):
                await rig.settled()
            assert rig.count("retry_budget_exhausted_total{openai}") == 36

        go(settings(provider.url), scenario)
        assert len(provider.requests) == 44


async def _cut_refusal(_received: Received, reply: Reply) -> None:
    await reply.write(head(429, {"content-length": "100", "retry-after": "0"}) + b"{")
    reply.close()


@pytest.mark.parametrize(
    "behaviour", [_cut_refusal, answer(b"x" * 100_000, 429, {"retry-after": "0"})], ids=["cut", "long"]
)
def test_d4_an_unreadable_refusal_is_not_repeated(behaviour: Behaviour) -> None:
    """A refusal whose body is cut or endless tells too little to send again; the client gets an error of its class."""
    with Provider(behaviour) as provider:

        async def scenario(rig: Rig) -> None:
            _, settled = await rig.settled()
            assert settled.fault is not None
            assert settled.fault.status == 429

        go(settings(provider.url), scenario)
        assert len(provider.requests) == 1


def test_a_pass_through_refusal_is_left_whole() -> None:
    """Outside generation a refusal is neither read nor repeated: it passes as it is."""
    with Provider(answer(ERROR, 429, {"retry-after": "0"})) as provider:

        async def scenario(rig: Rig) -> None:
            status, body = await rig.body(ask(generation=False))
            assert (status, json.loads(body)) == (429, ERROR)
            assert rig.count("upstream_errors_total{openai,429}") == 1

        go(settings(provider.url), scenario)
        assert len(provider.requests) == 1
