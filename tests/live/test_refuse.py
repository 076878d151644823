"""How a fault reaches the client."""

from __future__ import annotations

import json
import socket

import pytest

from gateway.core.contract.fault import STATUS, Fault, Kind
from gateway.live.refuse import draining, fault_of, internal, own_lines, refusal, slow_body
from gateway.wire.errors import BadMessage
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, events, stream

PINNED = release("openai/gpt-4o-2024-08-06")


@pytest.mark.parametrize("status", [400, 408, 413, 417, 421, 426, 431, 501, 503, 505])
def test_what_the_wire_refuses_keeps_its_status_and_closes(status: int) -> None:
    """A refusal of the wire is an error in OpenAI's shape with the wire's own status, code and words."""
    bad = BadMessage(status, "some_code", "reason", "What is wrong.")
    fault = fault_of(bad)
    assert (fault.status, fault.code, fault.reason, fault.close) == (status, "some_code", "reason", True)
    got, lines, body = refusal(bad, "req1")
    assert got == status
    assert b"x-request-id: req1\r\n" in lines
    assert json.loads(body)["error"]["code"] == "some_code"
    assert "What is wrong." in json.loads(body)["error"]["message"]


def test_only_what_may_be_repeated_says_so() -> None:
    """`x-should-retry` and `retry-after` speak to SDKs: yes for our own passing trouble, no for the caller's mistake."""
    assert b"x-should-retry: true\r\nretry-after: 1\r\n" in own_lines(draining(), "r")
    assert b"x-should-retry: true" in own_lines(internal(), "r")
    assert b"x-should-retry: true" in own_lines(slow_body(), "r")
    mistake = own_lines(Fault(Kind.BAD_REQUEST, "bad_model", "x"), "r")
    assert b"x-should-retry: false\r\n" in mistake
    assert b"retry-after" not in mistake
    assert b"allow: GET, HEAD\r\n" in own_lines(Fault(Kind.METHOD, "m", "x", allow=("GET", "HEAD")), "r")
    assert {slow_body().status, draining().status, internal().status} == {
        STATUS[Kind.CLIENT_TIMEOUT],
        STATUS[Kind.OVERLOADED],
        STATUS[Kind.INTERNAL],
    }


def test_no_line_of_an_answer_can_be_forged_by_a_message() -> None:
    """Texts of a fault stand in the body only."""
    lines = own_lines(Fault(Kind.BAD_REQUEST, "c", "evil\r\nx-evil: 1", param="p\r\nx-evil: 1"), "r")
    assert b"x-evil" not in lines


def test_a_wrong_method_says_which_are_right(gateway: LiveGateway) -> None:
    """405 carries Allow."""
    got = gateway.request("GET", "/v1/chat/completions")
    assert (got.status, got.headers["allow"], got.json["error"]["code"]) == (405, "POST", "method_not_allowed")


def test_the_shape_is_that_of_the_route(gateway: LiveGateway) -> None:
    """Refusals carry the request's id in body or header, and a type that the SDKs of the dialect know."""
    got = gateway.chat("")
    error = got.json["error"]
    assert (got.status, error["code"], error["param"]) == (400, "missing_model", "model")
    assert error["type"] == "invalid_request_error"
    assert got.headers["x-request-id"] == got.headers["x-trivet-request"]


def test_after_the_first_byte_a_fault_is_an_event_and_no_clean_end(gateway: LiveGateway, provider: Provider) -> None:
    """A worker that stops in mid-stream ends the stream with an error event of the dialect, never as if it were whole."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(stream(events(["Hel", "lo"])[:2], end="hang"))
    body = b'{"model":"gpt-4o","stream":true,"messages":[]}'
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: "
    )
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as link:
        link.sendall(head + b"%d\r\n\r\n" % len(body) + body)
        data = b""
        while b"Hel" not in data:
            data += link.recv(65536)
        gateway.call(gateway.server.drain(0.1))
        while piece := link.recv(65536):
            data += piece
    assert b'"draining"' in data
    assert not data.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in data
