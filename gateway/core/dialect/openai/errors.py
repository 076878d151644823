"""OpenAI's error shape: `{"error": {"message", "type", "param", "code"}}`, all four always there."""

from __future__ import annotations

import msgspec

from gateway.core.contract.fault import Fault, Kind, Side

TYPES = {
    Kind.RATE: "rate_limit_error",
    Kind.INTERNAL: "server_error",
    Kind.NOT_IMPLEMENTED: "server_error",
    Kind.UPSTREAM: "server_error",
    Kind.OVERLOADED: "server_error",
    Kind.TIMEOUT: "server_error",
}
"""OpenAI's type word per kind; every other kind is an `invalid_request_error`."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def error(fault: Fault) -> bytes:
    """The body of an error answer. The request id is in the headers, as OpenAI has it."""
    return msgspec.json.encode({"error": described(fault)})


def described(fault: Fault) -> dict[str, str | None]:
    """The four members that say what went wrong."""
    kind = TYPES.get(fault.kind) or ("invalid_request_error" if fault.side is Side.CLIENT else "server_error")
    return {"message": fault.message, "type": kind, "param": fault.param, "code": fault.code}


def stream_error(fault: Fault) -> bytes:
    """The error as an event: the official client raises on a `data` with a top-level `error` (faults.md 5.2)."""
    return b"data: " + error(fault) + b"\n\n"


def looks_like_error(body: bytes) -> bool:
    """Whether a body is JSON that the official client can take an error from.

    It reads `error`, or the whole object when there is none; compatible servers send `message` or `detail` there.
    """
    try:
        members = _object(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    found = members.get("error")
    if found is not None:
        return bytes(found)[:1] in (b"{", b'"')
    return "message" in members or "detail" in members
