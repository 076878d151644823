"""How a fault reaches the client: in the dialect's own shape while nothing was sent, as an error event and an unclean end after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.fault import STATUS, Fault, Kind, Side
from gateway.core.dialect.registry import DIALECTS
from gateway.live import stamps

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.wire.errors import BadMessage

KIND_OF_STATUS = {status: kind for kind, status in STATUS.items()}


def fault_of(bad: BadMessage) -> Fault:
    """What the wire refused, as a Fault."""
    kind = KIND_OF_STATUS.get(bad.status, Kind.BAD_REQUEST)
    allow = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") if kind is Kind.METHOD else ()
    waits = 1.0 if kind is Kind.OVERLOADED else None
    return Fault(
        kind,
        bad.code,
        bad.message,
        status=bad.status,
        reason=bad.reason,
        allow=allow,
        retry=waits is not None,
        retry_after=waits,
        close=True,
    )


def refusal(bad: BadMessage, request_id: str, spoken: str = "") -> tuple[int, bytes, bytes]:
    """Status, header lines and body for a message the wire refused, in the shape of the dialect that its path speaks; OpenAI's
    where no path was read."""
    fault = fault_of(bad)
    dialect = DIALECTS.get(spoken) or DIALECTS["openai"]
    return dialect.status(fault), own_lines(fault, request_id), dialect.error(fault, request_id)


def own_lines(fault: Fault, request_id: str) -> bytes:
    """Header lines of an answer the gateway made itself."""
    text = (
        "content-type: application/json\r\n"
        f"x-request-id: {request_id}\r\n"
        f"request-id: {request_id}\r\n"
        f"x-should-retry: {'true' if fault.retry else 'false'}\r\n"
    )
    if fault.retry_after is not None:
        text += f"retry-after: {max(0, round(fault.retry_after))}\r\n"
    text += fault.lines
    if fault.allow:
        text += f"allow: {', '.join(fault.allow)}\r\n"
    return text.encode()


def answer_fault(life: Life, fault: Fault) -> None:
    """Send the fault. After the first byte of an answer, end it as a cut stream instead."""
    incoming = life.incoming
    dialect = life.dialect or DIALECTS["openai"]
    if life.sending:
        if life.events:
            incoming.send(dialect.stream_error(fault, life.id, life.decoder))
        incoming.abort()
        return
    life.status = dialect.status(fault)
    life.code = life.code or fault.code
    body = dialect.error(fault, life.id)
    lines = own_lines(fault, life.id) + stamps.lines(life)
    life.sending = True
    incoming.reply(life.status, lines, body)


def internal(what: str = "The gateway failed on this request; its log has the details under this request id.") -> Fault:
    """A fault of our own."""
    return Fault(Kind.INTERNAL, "internal_error", what, side=Side.GATEWAY, retry=True)


def slow_body() -> Fault:
    """The client's body stalled; the connection closes behind this answer, as the rest of the body is unread."""
    return Fault(
        Kind.CLIENT_TIMEOUT,
        "request_timeout",
        "The request body came too slowly.",
        reason="body_timeout",
        retry=True,
        close=True,
    )


def draining() -> Fault:
    """The process is going away."""
    return Fault(
        Kind.OVERLOADED,
        "draining",
        "This gateway process is shutting down. Retry on another.",
        side=Side.GATEWAY,
        retry=True,
        retry_after=1,
    )
