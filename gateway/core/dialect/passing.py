"""Dialects whose operations pass through unread: only `model` is pinned, and errors are in the dialect's own shape.

They stand here until they have a package of their own beside `openai`.
"""

from __future__ import annotations

import msgspec

from gateway.core.contract.exchange import Observed
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.base import Decoder, Envelope
from gateway.core.dialect.openai import errors as openai
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import scan

GEMINI_STATUSES = {
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
"""Gemini's status word per kind; every other kind is an `INVALID_ARGUMENT`."""


class Silent:
    """A decoder that learns nothing. The answer of a format it cannot read counts as whole when it ends cleanly."""

    __slots__ = ("observed",)

    def __init__(self) -> None:
        self.observed = Observed()

    def feed(self, data: bytes) -> None:
        """Pass over."""

    def finish(self) -> Observed:
        """The end is all there is to know."""
        self.observed.terminal = True
        return self.observed


class Passing:
    """What dialects that pass through have in common."""

    name = ""

    def read(self, operation: Operation | None, body: bytes) -> Envelope:  # noqa: ARG002 - the protocol has it
        """`model` and `stream` only."""
        return Envelope.of_members(scan(body))

    def model_edit(self, model: str) -> dict[str, bytes]:
        """The top-level `model`."""
        return {"model": msgspec.json.encode(model)}

    def decoder(self, operation: Operation | None, stream: bool) -> Decoder:  # noqa: ARG002 - the protocol has it
        """One that learns nothing."""
        return Silent()

    def looks_like_error(self, body: bytes) -> bool:
        """All three vendors' error bodies have a top-level `error` object."""
        return openai.looks_like_error(body)


class Gemini(Passing):
    """`{"error": {"code", "message", "status", "details"}}`; the model is in the path."""

    name = "gemini"

    def model_edit(self, model: str) -> dict[str, bytes]:  # noqa: ARG002 - the protocol has it
        """None: the path has the model."""
        return {}

    def status(self, fault: Fault) -> int:
        """Gemini knows no 502."""
        return 503 if fault.kind is Kind.UPSTREAM else fault.status

    def error(self, fault: Fault, request_id: str) -> bytes:  # noqa: ARG002 - the protocol has it
        """The gateway's code is the reason in `details`, as Google's own errors have it."""
        kind = GEMINI_STATUSES.get(fault.kind) or ("INVALID_ARGUMENT" if fault.side is Side.CLIENT else "INTERNAL")
        detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.code, "domain": "trivet"}
        inner = {"code": self.status(fault), "message": fault.message, "status": kind, "details": [detail]}
        return msgspec.json.encode({"error": inner})

    def stream_error(self, fault: Fault, request_id: str, decoder: Decoder | None = None) -> bytes:  # noqa: ARG002 - the protocol has it
        """A chunk that holds an error object; its client raises on it."""
        return b"data: " + self.error(fault, request_id) + b"\n\n"
