"""The headers Trivet adds to an answer: which run, which release, which model, and how sure that is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from gateway.core.binding.ticket import sign
from gateway.core.contract.run import Ticket

if TYPE_CHECKING:
    from gateway.live.life import Life

SAFE = re.compile(r"[!-~]+")
"""Values that may stand in a header as they are; anything else is percent-encoded."""


def safe(value: str) -> str:
    """A value that cannot end a header line early, whatever a client put into its body."""
    return value if SAFE.fullmatch(value) else quote(value, safe="/:@")


def lines(life: Life) -> bytes:
    """All `x-trivet-…` response header lines of a request."""
    stamp, bound = life.stamp, life.bound
    if stamp is None or bound is None:
        return f"x-trivet-request: {life.id}\r\nx-trivet-attempts: {attempts(life)}\r\n".encode()
    ticket = sign(
        Ticket(
            tenant=stamp.tenant,
            run=stamp.run,
            alias=stamp.alias,
            release=stamp.release,
            model=stamp.model,
            at_ms=stamp.at_ms,
            lane=stamp.lane,
            arm=stamp.arm,
            pin=stamp.pin,
        ),
        life.view.stamp_keys[0],
    )
    release = f"x-trivet-release: {stamp.release}\r\n" if stamp.release else ""
    return (
        f"x-trivet-request: {life.id}\r\n"
        f"x-trivet-run: {stamp.run}\r\n"
        f"x-trivet-bound: {'new' if bound.new else 'resumed'}\r\n"
        f"x-trivet-ticket: {ticket}\r\n"
        f"x-trivet-alias: {safe(stamp.alias)}\r\n"
        f"{release}"
        f"x-trivet-model: {safe(stamp.model)}\r\n"
        f"x-trivet-pin: {stamp.pin.value}\r\n"
        f"x-trivet-arm: {stamp.arm.value}\r\n"
        f"x-trivet-attempts: {attempts(life)}\r\n"
    ).encode()


def attempts(life: Life) -> int:
    """How often a provider was called for this request."""
    called = life.answer or life.failed
    return called.attempts if called is not None else 0
