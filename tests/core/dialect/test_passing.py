"""Dialects that pass through: their error shapes, as their own clients read them."""

from __future__ import annotations

import json

import pytest

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.passing import Anthropic, Gemini, Silent

OVERLOADED = Fault(Kind.OVERLOADED, "no_pointer", "Retry shortly.", side=Side.GATEWAY)


def test_anthropic_errors() -> None:
    """Type, request id and 529 for overload (faults.md section 9)."""
    dialect = Anthropic()
    assert json.loads(dialect.error(OVERLOADED, "req-1")) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "no_pointer: Retry shortly."},
        "request_id": "req-1",
    }
    assert dialect.status(OVERLOADED) == 529
    assert dialect.stream_error(OVERLOADED, "r").startswith(b"event: error\ndata: {")


def test_gemini_errors() -> None:
    """Code, status and reason; the model is in the path, so there is no edit."""
    dialect = Gemini()
    assert json.loads(dialect.error(OVERLOADED, "req-1")) == {
        "error": {
            "code": 503,
            "message": "Retry shortly.",
            "status": "UNAVAILABLE",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "no_pointer", "domain": "trivet"}
            ],
        }
    }
    assert dialect.model_edit("m") == {}
    assert dialect.stream_error(OVERLOADED, "r").startswith(b'data: {"error":')


@pytest.mark.parametrize(
    ("kind", "anthropic", "gemini", "statuses"),
    [
        (Kind.BAD_REQUEST, "invalid_request_error", "INVALID_ARGUMENT", (400, 400)),
        (Kind.AUTH, "authentication_error", "UNAUTHENTICATED", (401, 401)),
        (Kind.FORBIDDEN, "permission_error", "PERMISSION_DENIED", (403, 403)),
        (Kind.NOT_FOUND, "not_found_error", "NOT_FOUND", (404, 404)),
        (Kind.TOO_LARGE, "request_too_large", "INVALID_ARGUMENT", (413, 413)),
        (Kind.RATE, "rate_limit_error", "RESOURCE_EXHAUSTED", (429, 429)),
        (Kind.UPSTREAM, "api_error", "UNAVAILABLE", (502, 503)),
        (Kind.TIMEOUT, "timeout_error", "DEADLINE_EXCEEDED", (504, 504)),
        (Kind.INTERNAL, "api_error", "INTERNAL", (500, 500)),
    ],
)
def test_the_words_of_each_kind(kind: Kind, anthropic: str, gemini: str, statuses: tuple[int, int]) -> None:
    """The mapping of faults.md section 9."""
    fault = Fault(kind, "x", "y")
    assert json.loads(Anthropic().error(fault, ""))["error"]["type"] == anthropic
    assert json.loads(Gemini().error(fault, ""))["error"]["status"] == gemini
    assert (Anthropic().status(fault), Gemini().status(fault)) == statuses


def test_a_kind_without_a_word_goes_by_its_side() -> None:
    """What is not the client's fault is never called an invalid request."""
    fault = Fault(Kind.CONFLICT, "x", "y", side=Side.GATEWAY)
    assert json.loads(Anthropic().error(fault, ""))["error"]["type"] == "api_error"
    assert json.loads(Gemini().error(fault, ""))["error"]["status"] == "INTERNAL"


def test_a_silent_decoder_knows_only_the_end() -> None:
    """Until the end is seen nothing counts as whole."""
    decoder = Silent()
    decoder.feed(b"anything")
    assert not decoder.observed.terminal
    assert decoder.finish().terminal
