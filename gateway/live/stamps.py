"""The headers Trivet adds to an answer: which run, which release, which model, and how sure that is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from gateway.core.binding.ticket import sign
from gateway.core.contract.run import Ticket

if TYPE_CHECKING:
    from gateway.core.contract.run import Stamp
    from gateway.live.life import Life
    from gateway.live.view import View

MARKS_KEPT = 2000
RUNS_KEPT = 1000
"""Ready header lines, of releases and of runs, that a worker keeps at hand; each is some hundred bytes."""
SAFE = re.compile(r"[!-~]+")
"""Values that may stand in a header as they are; anything else is percent-encoded."""


def safe(value: str) -> str:
    """A value that cannot end a header line early, whatever a client put into its body."""
    return value if SAFE.fullmatch(value) else quote(value, safe="/:@")


def lines(life: Life) -> bytes:
    """All `x-trivet-…` response header lines of a request."""
    stamp, bound = life.stamp, life.bound
    if stamp is None or bound is None:
        return b"x-trivet-request: %b\r\n%b" % (life.id.encode(), called(life))
    which = (stamp.tenant, stamp.run, stamp.alias, stamp.at_ms, stamp.release)
    ready = life.view.marked.get(which)
    if ready is None:
        ready = _marked(life.view, stamp, which)
    word = b"new" if bound.new else b"resumed"
    return b"x-trivet-request: %b\r\n%b%b%b%b" % (life.id.encode(), ready[0], word, ready[1], called(life))


def _marked(view: View, stamp: Stamp, which: tuple[str, str, str, int, str]) -> tuple[bytes, bytes]:
    """The lines that every answer of a run has, before and behind what `x-trivet-bound` says; made, and signed, once for a
    while."""
    marks = (stamp.alias, stamp.release, stamp.model, stamp.pin, stamp.arm)
    fixed = view.marks.get(marks)
    if fixed is None:
        if len(view.marks) >= MARKS_KEPT:
            view.marks.clear()
        fixed = view.marks[marks] = _marks(stamp)
    if len(view.marked) >= RUNS_KEPT:
        view.marked.clear()
    before = b"x-trivet-run: %b\r\nx-trivet-bound: " % stamp.run.encode()
    behind = b"\r\nx-trivet-ticket: %b\r\n%b" % (ticket_of(stamp, view.stamp_keys[0]).encode(), fixed)
    view.marked[which] = before, behind
    return before, behind


def _marks(stamp: Stamp) -> bytes:
    """The lines that all runs on one release of an alias have in common."""
    release = f"x-trivet-release: {stamp.release}\r\n" if stamp.release else ""
    return (
        f"x-trivet-alias: {safe(stamp.alias)}\r\n"
        f"{release}"
        f"x-trivet-model: {safe(stamp.model)}\r\n"
        f"x-trivet-pin: {stamp.pin.value}\r\n"
        f"x-trivet-arm: {stamp.arm.value}\r\n"
    ).encode()


def ticket_of(stamp: Stamp, key: bytes) -> str:
    """A stamp, signed."""
    ticket = Ticket(
        stamp.tenant, stamp.run, stamp.alias, stamp.release, stamp.model, stamp.at_ms, stamp.lane, stamp.arm, stamp.pin
    )
    return sign(ticket, key)


def called(life: Life) -> bytes:
    """How often a provider was called for this request, and which endpoint served, or failed, last."""
    answer = life.answer
    if answer is not None:
        return b"%bx-trivet-attempts: %d\r\n" % (answer.at.mark, answer.attempts)
    failed = life.failed
    if failed is not None and failed.attempts:
        return b"x-trivet-endpoint: %b\r\nx-trivet-attempts: %d\r\n" % (failed.endpoint.encode(), failed.attempts)
    return b"x-trivet-attempts: 0\r\n"
