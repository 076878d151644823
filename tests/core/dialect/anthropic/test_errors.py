"""Anthropic's error shape, as its client reads it."""

from __future__ import annotations

import json

import pytest

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.anthropic.errors import error, status, stream_error


@pytest.mark.parametrize(
    ("kind", "word", "code"),
    [
        (Kind.BAD_REQUEST, "invalid_request_error", 400),
        (Kind.AUTH, "authentication_error", 401),
        (Kind.FORBIDDEN, "permission_error", 403),
        (Kind.NOT_FOUND, "not_found_error", 404),
        (Kind.CONFLICT, "invalid_request_error", 409),
        (Kind.TOO_LARGE, "request_too_large", 413),
        (Kind.RATE, "rate_limit_error", 429),
        (Kind.UPSTREAM, "api_error", 502),
        (Kind.OVERLOADED, "overloaded_error", 529),
        (Kind.TIMEOUT, "timeout_error", 504),
        (Kind.INTERNAL, "api_error", 500),
    ],
)
def test_the_words_of_each_kind(kind: Kind, word: str, code: int) -> None:
    """The mapping of the table of faults; overload is 529; the gateway's code stands in front of the message."""
    fault = Fault(kind, "some_code", "Say ü\n")
    assert status(fault) == code
    assert json.loads(error(fault, "req_1")) == {
        "type": "error",
        "error": {"type": word, "message": "some_code: Say ü\n"},
        "request_id": "req_1",
    }


def test_a_fault_of_ours_is_no_invalid_request() -> None:
    """What is not the client's fault is never called one."""
    assert json.loads(error(Fault(Kind.CONFLICT, "c", "m", side=Side.GATEWAY), ""))["error"]["type"] == "api_error"


def test_the_event_has_a_name() -> None:
    """Faults row E1: the official client passes over an event without a name; a line break does not end it early."""
    event = stream_error(Fault(Kind.UPSTREAM, "upstream_cut", "a\nb"), "req_1")
    name, data, *rest = event.split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    assert json.loads(data.removeprefix(b"data: "))["type"] == "error"
