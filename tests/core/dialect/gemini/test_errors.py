"""Gemini's error shape, and what of a provider's errors counts as it."""

from __future__ import annotations

import json

import pytest

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.gemini.errors import error, looks_like_error, status, stream_error


def test_all_members_are_there() -> None:
    """The HTTP status, Google's word for it, and the gateway's own code as the reason."""
    fault = Fault(Kind.OVERLOADED, "no_pointer", "Retry ü shortly.\n", side=Side.GATEWAY)
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "no_pointer", "domain": "trivet"}
    wanted = {"code": 503, "message": "Retry ü shortly.\n", "status": "UNAVAILABLE", "details": [detail]}
    assert json.loads(error(fault)) == {"error": wanted}


@pytest.mark.parametrize(
    ("kind", "word", "number"),
    [
        (Kind.BAD_REQUEST, "INVALID_ARGUMENT", 400),
        (Kind.AUTH, "UNAUTHENTICATED", 401),
        (Kind.FORBIDDEN, "PERMISSION_DENIED", 403),
        (Kind.NOT_FOUND, "NOT_FOUND", 404),
        (Kind.TOO_LARGE, "INVALID_ARGUMENT", 413),
        (Kind.RATE, "RESOURCE_EXHAUSTED", 429),
        (Kind.INTERNAL, "INTERNAL", 500),
        (Kind.UPSTREAM, "UNAVAILABLE", 503),
        (Kind.OVERLOADED, "UNAVAILABLE", 503),
        (Kind.TIMEOUT, "DEADLINE_EXCEEDED", 504),
    ],
)
def test_the_words_of_each_kind(kind: Kind, word: str, number: int) -> None:
    """The mapping of faults.md section 9; Gemini has no 502."""
    fault = Fault(kind, "x", "y")
    found = json.loads(error(fault))["error"]
    assert (found["status"], found["code"], status(fault)) == (word, number, number)


def test_a_kind_without_a_word_goes_by_its_side() -> None:
    """What is not the client's fault is never called an invalid argument; a status given in full stands."""
    assert json.loads(error(Fault(Kind.CONFLICT, "x", "y", side=Side.GATEWAY)))["error"]["status"] == "INTERNAL"
    assert status(Fault(Kind.UPSTREAM, "x", "y", status=520)) == 520
    assert json.loads(error(Fault(Kind.UPSTREAM, "x", "y", status=500)))["error"]["status"] == "INTERNAL"


def test_the_event_is_one_line_of_data() -> None:
    """Faults row E1: the official client knows it by `{"error":` at the very start of the data."""
    event = stream_error(Fault(Kind.UPSTREAM, "upstream_cut", "a\nb"))
    assert event.startswith(b'data: {"error":{"code":503,') and event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}', True),
        (b'\n[{"error": {"code": 429}}\n]', True),
        (b'{"error":"text"}', True),
        (b'[{"error":{}},{"error":{}}]', False),
        (b'[{"candidates":[]}]', False),
        (b'{"error":null}', False),
        (b"[]", False),
        (b'{"message":"m"}', False),
        (b"<html>502</html>", False),
        (b"", False),
        (b'{"error":{', False),
    ],
)
def test_what_looks_like_an_error(body: bytes, verdict: bool) -> None:
    """An object with `error`, or an array of one, as a stream without `alt=sse` is refused."""
    assert looks_like_error(body) is verdict
