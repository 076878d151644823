"""Dialects that pass through: their error shapes, as their own clients read them."""

from __future__ import annotations

import json

import pytest

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.passing import Gemini, Silent

OVERLOADED = Fault(Kind.OVERLOADED, "no_pointer", "Retry shortly.", side=Side.GATEWAY)


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
    ("kind", "gemini", "status"),
    [
        (Kind.BAD_REQUEST, "INVALID_ARGUMENT", 400),
        (Kind.AUTH, "UNAUTHENTICATED", 401),
        (Kind.FORBIDDEN, "PERMISSION_DENIED", 403),
        (Kind.NOT_FOUND, "NOT_FOUND", 404),
        (Kind.TOO_LARGE, "INVALID_ARGUMENT", 413),
        (Kind.RATE, "RESOURCE_EXHAUSTED", 429),
        (Kind.UPSTREAM, "UNAVAILABLE", 503),
        (Kind.TIMEOUT, "DEADLINE_EXCEEDED", 504),
        (Kind.INTERNAL, "INTERNAL", 500),
    ],
)
def test_the_words_of_each_kind(kind: Kind, gemini: str, status: int) -> None:
    """The mapping of faults.md section 9."""
    fault = Fault(kind, "x", "y")
    assert json.loads(Gemini().error(fault, ""))["error"]["status"] == gemini
    assert Gemini().status(fault) == status


def test_a_kind_without_a_word_goes_by_its_side() -> None:
    """What is not the client's fault is never called an invalid request."""
    fault = Fault(Kind.CONFLICT, "x", "y", side=Side.GATEWAY)
    assert json.loads(Gemini().error(fault, ""))["error"]["status"] == "INTERNAL"


def test_a_silent_decoder_knows_only_the_end() -> None:
    """Until the end is seen nothing counts as whole."""
    decoder = Silent()
    decoder.feed(b"anything")
    assert not decoder.observed.terminal
    assert decoder.finish().terminal
