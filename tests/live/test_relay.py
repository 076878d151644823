"""What a client sees of an answer, whole, broken and late."""

from __future__ import annotations

import http.client
import time

import pytest

from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer, chat_body, completion, drop, events, hang, head, raw, stream

PINNED = release("openai/gpt-4o-2024-08-06")


@pytest.fixture(autouse=True)
def _alias(gateway: LiveGateway) -> None:
    gateway.alias("gpt-4o", PINNED)


def body_of(gateway: LiveGateway, **more: object) -> tuple[int, bytes, bool]:
    """Status, body and whether it ended cleanly, of a streamed request."""
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    link.request(
        "POST",
        "/v1/chat/completions",
        '{"model":"gpt-4o","stream":true,"messages":[]}',
        {"content-type": "application/json"},
    )
    got = link.getresponse()
    try:
        return got.status, got.read(), True
    except http.client.IncompleteRead as cut:
        return got.status, cut.partial, False
    finally:
        link.close()


def test_a_stream_arrives_byte_for_byte_and_ends_cleanly(gateway: LiveGateway, provider: Provider) -> None:
    """The client's bytes are the provider's bytes."""
    sent = events(["Hel", "lo", " wörld"])
    provider.then(stream(sent))
    assert body_of(gateway) == (200, b"".join(sent), True)


def test_a_stream_cut_into_single_bytes_arrives_whole(gateway: LiveGateway, provider: Provider) -> None:
    """E7: however a stream is cut on the wire, its bytes are the same."""
    sent = b"".join(events(["é", "→"]))
    provider.then(stream([sent[i : i + 1] for i in range(len(sent))]))
    assert body_of(gateway) == (200, sent, True)


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_e1_a_stream_cut_between_events_ends_with_an_error_event_and_uncleanly(
    gateway: LiveGateway, provider: Provider, end: str
) -> None:
    """E1: what came is relayed, then the dialect's error event, and no clean end."""
    sent = events(["Hel", "lo"])[:2]
    provider.then(stream(sent, gap=0.02, end=end))
    status, body, clean = body_of(gateway)
    assert (status, clean) == (200, False)
    assert body.startswith(b"".join(sent))
    assert b'"upstream_cut"' in body[len(b"".join(sent)) :]
    assert b"[DONE]" not in body


def test_e2_a_partial_event_is_withheld(gateway: LiveGateway, provider: Provider) -> None:
    """E2: a cut inside an event, here inside a character, never leaves half an event before the error event."""
    sent = events(["é"])
    cut = sent[1][: sent[1].index(b"\\u00e9") + 3] if b"\\u00e9" in sent[1] else sent[1][:-5]
    provider.then(stream([sent[0], cut], gap=0.02, end="cut"))
    _, body, clean = body_of(gateway)
    assert not clean
    assert body.startswith(sent[0] + b'data: {"error"')


def test_e3_a_clean_end_without_the_terminal_event_is_not_success(gateway: LiveGateway, provider: Provider) -> None:
    """E3: no [DONE], no success."""
    provider.then(stream(events(["x"])[:-1]))
    _, body, clean = body_of(gateway)
    assert not clean
    assert b'"upstream_cut"' in body


def test_e4_the_providers_own_error_event_is_relayed_exactly(gateway: LiveGateway, provider: Provider) -> None:
    """E4: a mid-stream error of the provider arrives as sent; nothing is retried."""
    sent = [events(["x"])[0], b'data: {"error":{"message":"boom","type":"server_error","param":null,"code":"x"}}\n\n']
    provider.then(stream(sent))
    _, body, clean = body_of(gateway)
    assert (body, clean) == (b"".join(sent), False)
    assert len(provider.requests) == 1


def test_d5_html_under_200_is_a_502_in_shape(gateway: LiveGateway, provider: Provider) -> None:
    """D5: a page is no completion."""
    provider.then(answer(b"<html>hello</html>", headers={"content-type": "text/html"}))
    got = gateway.chat("gpt-4o")
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_protocol")


def test_d7_a_body_shorter_than_declared_is_502_not_a_truncated_200(gateway: LiveGateway, provider: Provider) -> None:
    """D7: a generated body is held until it is whole."""
    provider.then(raw(head(200, {"content-type": "application/json", "content-length": "500"}) + b'{"id":', close=True))
    got = gateway.chat("gpt-4o")
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_cut")


def test_d8_a_lost_connection_after_sending_is_maybe_sent_and_not_retried(
    gateway: LiveGateway, provider: Provider
) -> None:
    """D8: the provider may have worked on it; the client is told not to repeat blindly."""
    provider.then(drop)
    got = gateway.chat("gpt-4o")
    assert (got.status, got.json["error"]["code"]) == (502, "maybe_sent")
    assert got.headers["x-should-retry"] == "false"
    assert len(provider.requests) == 1


def test_d4_a_providers_error_arrives_as_sent(gateway: LiveGateway, provider: Provider) -> None:
    """D4: an error in the API's own shape passes with status and body."""
    body = b'{"error": {"message": "no", "type": "server_error", "param": null, "code": null}}'
    provider.then(answer(body, status=500))
    got = gateway.chat("gpt-4o")
    assert (got.status, got.body) == (500, body)


def test_e5_a_client_that_leaves_stops_the_provider_at_once(gateway: LiveGateway, provider: Provider) -> None:
    """E5: before the head and in mid-stream the provider sees the close within 200 ms."""
    provider.then(hang, stream(events(["a"]), end="hang"))
    for wants_bytes in (False, True):
        before = len(provider.requests)
        link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
        link.request(
            "POST",
            "/v1/chat/completions",
            '{"model":"gpt-4o","stream":true,"messages":[]}',
            {"content-type": "application/json"},
        )
        request = provider.wait_for(before + 1)[-1]
        if wants_bytes:
            link.getresponse().read(10)
        link.sock.close() if link.sock else None
        link.close()
        left = time.monotonic()
        assert request.gone.wait(2)
        assert request.gone_at - left < 0.2


def test_cookies_and_account_headers_of_the_provider_stay_here(gateway: LiveGateway, provider: Provider) -> None:
    """C6: no client sees another account's cookies; other headers pass."""
    extra = {
        "set-cookie": "a=b",
        "openai-organization": "org",
        "x-ratelimit-remaining-requests": "9",
        "x-request-id": "req_1",
    }
    provider.then(answer(chat_body("x", "gpt-4o-2024-08-06"), headers=extra))
    got = gateway.chat("gpt-4o")
    assert "set-cookie" not in got.headers
    assert "openai-organization" not in got.headers
    assert (got.headers["x-ratelimit-remaining-requests"], got.headers["x-request-id"]) == ("9", "req_1")


def test_a_large_answer_arrives_whole(gateway: LiveGateway, provider: Provider) -> None:
    """A body over the held size is relayed piece by piece, unchanged."""
    provider.then(completion("x" * 3_000_000))
    got = gateway.chat("gpt-4o")
    assert len(got.json["choices"][0]["message"]["content"]) == 3_000_000
