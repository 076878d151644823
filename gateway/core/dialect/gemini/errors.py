"""Gemini's error shape: `{"error": {"code", "message", "status", "details"}}`, where `code` is the HTTP status."""

from __future__ import annotations

import msgspec

from gateway.core.contract.fault import Fault, Kind, Side

STATUSES = {
    Kind.AUTH: "UNAUTHENTICATED",
    Kind.FORBIDDEN: "PERMISSION_DENIED",
    Kind.NOT_FOUND: "NOT_FOUND",
    Kind.RATE: "RESOURCE_EXHAUSTED",
    Kind.OVERLOADED: "UNAVAILABLE",
    Kind.UPSTREAM: "UNAVAILABLE",
    Kind.TIMEOUT: "DEADLINE_EXCEEDED",
    Kind.INTERNAL: "INTERNAL",
    Kind.NOT_IMPLEMENTED: "UNIMPLEMENTED",
}
"""Google's status word per kind; every other kind is an `INVALID_ARGUMENT`."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def status(fault: Fault) -> int:
    """The HTTP status: Gemini knows no 502."""
    return 503 if fault.status == 502 else fault.status


def error(fault: Fault) -> bytes:
    """The body of an error answer. The gateway's code is the reason in `details`, as Google's own errors have it.

    `error` is the first member and nothing stands before it: the official client knows an error in a stream by that.
    """
    word = STATUSES.get(fault.kind) or ("INVALID_ARGUMENT" if fault.side is Side.CLIENT else "INTERNAL")
    if fault.status == 500:
        word = "INTERNAL"
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.code, "domain": "trivet"}
    inner = {"code": status(fault), "message": fault.message, "status": word, "details": [detail]}
    return msgspec.json.encode({"error": inner})


def stream_error(fault: Fault) -> bytes:
    """The error as an event: a nameless one, whose data the official client raises."""
    return b"data: " + error(fault) + b"\n\n"


def looks_like_error(body: bytes) -> bool:
    """Whether a body is JSON that the official client can take an error from: an object with `error`, or an array of one
    such, as a stream without `alt=sse` is refused."""
    try:
        if body.lstrip()[:1] == b"[":
            items = _array(body)
            if len(items) != 1:
                return False
            body = bytes(items[0])
        found = _object(body).get("error")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return found is not None and bytes(found)[:1] in (b"{", b'"')
