"""What the provider is called with."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.core.binding import internal
from tests.live.gateway import STAMP_KEY, LiveGateway, release
from tests.provider import Provider, answer, completion, drop

PINNED = release("openai/gpt-4o-2024-08-06")
REFUSED = {"error": {"message": "later", "type": "x", "code": "overloaded"}}


def test_the_clients_own_headers_go_and_ours_and_its_credentials_stay(gateway: LiveGateway, provider: Provider) -> None:
    """End-to-end fields pass as sent; keys, cookies and `x-trivet-…` do not; the provider's own key is put in."""
    gateway.alias("gpt-4o", PINNED)
    sent = {
        "OpenAI-Beta": "assistants=v2",
        "user-agent": "agent/1",
        "authorization": "Bearer sk-client",
        "x-api-key": "sk-other",
        "cookie": "a=b",
        "x-trivet-run": "r1",
        "accept-encoding": "gzip",
    }
    assert gateway.chat("gpt-4o", sent).status == 200
    got = provider.requests[0]
    assert ("OpenAI-Beta", "assistants=v2") in got.headers
    assert got.fields["user-agent"] == "agent/1"
    assert got.fields["authorization"] == "Bearer sk-provider"
    assert got.fields["accept-encoding"] == "identity"
    assert got.fields["host"] == f"127.0.0.1:{provider.port}"
    assert not {"x-api-key", "cookie"} & got.fields.keys()
    assert not [name for name in got.fields if name.startswith("x-trivet")]


def test_the_query_goes_along(gateway: LiveGateway, provider: Provider) -> None:
    """Path and query arrive as the client wrote them."""
    gateway.alias("gpt-4o", PINNED)
    path = "/v1/chat/completions?beta=true&x=%20y"
    assert gateway.request("POST", path, {"model": "gpt-4o", "messages": []}).status == 200
    assert provider.requests[0].target == path


def test_a_refusal_before_the_provider_began_is_tried_again_on_the_same_release(
    gateway: LiveGateway, provider: Provider
) -> None:
    """A 503 that says when to come back is waited out; the second attempt carries the same bytes and the same model."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(answer(REFUSED, 503, {"retry-after": "0"}))
    got = gateway.chat("gpt-4o")
    assert {r.json["model"] for r in provider.requests} == {"gpt-4o-2024-08-06"}
    assert int(got.headers["x-trivet-attempts"]) == len(provider.requests)
    assert len({r.body for r in provider.requests}) == 1


def test_a_client_that_retries_itself_is_not_retried_for_as_well(gateway: LiveGateway, provider: Provider) -> None:
    """With the SDK's own retry count above 0 one call is made: attempts do not multiply."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(answer(REFUSED, 503, {"retry-after": "0"}), answer(REFUSED, 503, {"retry-after": "0"}))
    got = gateway.chat("gpt-4o", {"x-stainless-retry-count": "1"})
    assert (got.status, len(provider.requests)) == (503, 1)
    assert got.headers["x-trivet-attempts"] == "1"


@pytest.mark.parametrize("odd", ["x", "-1", "1.5", "²", "", "9" * 5000])
def test_an_odd_retry_count_is_no_error(gateway: LiveGateway, provider: Provider, odd: str) -> None:
    """What is no number counts as none."""
    gateway.alias("gpt-4o", PINNED)
    link_headers = {"x-stainless-retry-count": odd.encode("latin-1", "replace").decode("latin-1")}
    assert gateway.chat("gpt-4o", link_headers).status == 200


def test_a_generation_that_may_have_begun_is_not_sent_again(gateway: LiveGateway, provider: Provider) -> None:
    """D8: after the bytes have left, a lost connection is the client's to decide about."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(drop)
    assert gateway.chat("gpt-4o").json["error"]["code"] == "maybe_sent"
    assert len(provider.requests) == 1


def test_a_provider_that_is_not_there_is_502_and_nothing_was_sent(redis_server, tmp_path: Path) -> None:
    """D1: refused connections are an error of the gateway's own, in shape, and say so."""
    with Provider() as gone:
        url = gone.url
    providers = {"openai": {"base_url": url, "api_key": "sk-provider", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers) as gateway:
        gateway.alias("gpt-4o", PINNED)
        got = gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
        assert (got.status, got.json["error"]["code"]) == (502, "upstream_connect")
        assert got.headers["x-trivet-release"] == PINNED.id


def test_the_gateways_own_calls_hold_back_nobody(gateway: LiveGateway, provider: Provider) -> None:
    """A probe that fails again and again opens no breaker: live traffic is served on as if nobody had probed."""
    gateway.alias("gpt-4o", PINNED)
    token = internal.mint(STAMP_KEY, "probe", int(time.time() * 1000) + 60_000)
    for behaviour in (answer({}, 500), drop):
        provider.default = behaviour
        for _ in range(8):
            assert gateway.chat(PINNED.id, {"x-trivet-key": token}).status >= 500
    provider.default = completion()
    assert gateway.chat("gpt-4o").status == 200
