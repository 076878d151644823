"""OpenAI's error shape, and what of a provider's errors counts as it."""

from __future__ import annotations

import json

import pytest

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.openai.errors import error, looks_like_error, stream_error


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Kind.BAD_REQUEST, "invalid_request_error"),
        (Kind.AUTH, "invalid_request_error"),
        (Kind.NOT_FOUND, "invalid_request_error"),
        (Kind.CONFLICT, "invalid_request_error"),
        (Kind.RATE, "rate_limit_error"),
        (Kind.OVERLOADED, "server_error"),
        (Kind.UPSTREAM, "server_error"),
        (Kind.TIMEOUT, "server_error"),
        (Kind.INTERNAL, "server_error"),
    ],
)
def test_all_four_members_are_there(kind: Kind, word: str) -> None:
    """message, type, param and code, as OpenAI's API description demands; param is null without one."""
    assert json.loads(error(Fault(kind, "c", "Say ü\n", param="model"))) == {
        "error": {"message": "Say ü\n", "type": word, "param": "model", "code": "c"}
    }
    assert json.loads(error(Fault(kind, "c", "m")))["error"]["param"] is None


def test_a_fault_of_ours_is_a_server_error() -> None:
    """What is not the client's fault is never called an invalid request."""
    assert json.loads(error(Fault(Kind.CONFLICT, "c", "m", side=Side.GATEWAY)))["error"]["type"] == "server_error"


def test_the_event_is_one_line_of_data() -> None:
    """Faults row E1: a nameless event whose data has a top-level error; line breaks in a message do not break it."""
    event = stream_error(Fault(Kind.UPSTREAM, "upstream_cut", "a\nb"))
    assert event.startswith(b'data: {"error":') and event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:])["error"]["code"] == "upstream_cut"


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"error":{"message":"m","type":"t","param":null,"code":null}}', True),
        (b' { "error": {"code": 429}}\n', True),
        (b'{"error":"text"}', True),
        (b'{"object":"error","message":"m"}', True),
        (b'{"detail":[{"msg":"m"}]}', True),
        (b'{"error":null}', False),
        (b'{"id":"x"}', False),
        (b"<html>502</html>", False),
        (b"", False),
        (b"null", False),
        (b'["error"]', False),
        (b'{"error":{', False),
        (b'{"\xff":1}', False),
        (b'{"error":' + b"[" * 100_000, False),
    ],
)
def test_what_the_client_can_read(body: bytes, verdict: bool) -> None:
    """Faults row D5: HTML, nothing, and half an error are not an API's answer; the shapes its client reads are."""
    assert looks_like_error(body) is verdict
