"""Anthropic's error shape: `{"type": "error", "error": {"type", "message"}, "request_id"}`; overload is 529."""

from __future__ import annotations

import msgspec

from gateway.core.contract.fault import Fault, Kind, Side

OVERLOADED = 529
TYPES = {
    Kind.AUTH: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
    Kind.NOT_FOUND: "not_found_error",
    Kind.TOO_LARGE: "request_too_large",
    Kind.RATE: "rate_limit_error",
    Kind.OVERLOADED: "overloaded_error",
    Kind.UPSTREAM: "api_error",
    Kind.TIMEOUT: "timeout_error",
    Kind.INTERNAL: "api_error",
    Kind.NOT_IMPLEMENTED: "api_error",
}
"""Anthropic's type word per kind; every other kind is an `invalid_request_error`."""


def status(fault: Fault) -> int:
    """529 in place of 503."""
    return OVERLOADED if fault.kind is Kind.OVERLOADED else fault.status


def error(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer. Anthropic has no code: the gateway's stands in front of the message."""
    kind = TYPES.get(fault.kind) or ("invalid_request_error" if fault.side is Side.CLIENT else "api_error")
    inner = {"type": kind, "message": f"{fault.code}: {fault.message}"}
    return msgspec.json.encode({"type": "error", "error": inner, "request_id": request_id})


def stream_error(fault: Fault, request_id: str) -> bytes:
    """The error as an event. It must be named: the official client passes over a nameless one (faults.md 5.2)."""
    return b"event: error\ndata: " + error(fault, request_id) + b"\n\n"
