"""Captures exchanges for the shadow: which ones, a copy of the answer on the side, and one offer at the end.

Rule of the file: the live answer never knows. Nothing here waits, and nothing here can fail the request: what is too large, or
finds no room, is dropped and counted. Without a shadow an exchange costs one look at the alias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.binding.decide import bucket
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.job import Job
from gateway.core.contract.pair import CAPTURES, least
from gateway.core.dialect.carry import without_key
from gateway.live.answers import coded
from gateway.live.overhead import millis
from gateway.upstream.answer import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.contract.alias import Shadow
    from gateway.live.life import Life
    from gateway.live.worker import Worker

PAUSE_SECONDS, LONGEST_SECONDS = 10.0, 300.0
"""Shortest and longest pause of a shadow after a live refusal."""
RATE_STATUS = 429
WHOLE = 10_000
"""Rates and shares are parts of this."""
FIELDS = tuple(
    (name.encode(), name)
    for name in (
        "content-type",
        "accept",
        "anthropic-version",
        "anthropic-beta",
        "openai-beta",
        "x-goog-api-version",
        "x-trivet-vars",
    )
)
"""Fields of a request that its repetition needs. A list of what may be stored: a credential is never on it."""

_encode = msgspec.json.Encoder().encode


class Copy:
    """The answer's bytes as they are relayed, up to a bound; longer answers are not kept at all."""

    __slots__ = ("mode", "pieces", "room", "shadows")

    def __init__(self, shadows: tuple[Shadow, ...], mode: str, room: int) -> None:
        self.shadows = shadows
        self.mode = mode
        self.room = room
        """Bytes that still fit; negative once the answer is too large."""
        self.pieces: list[bytes] = []

    def add(self, data: bytes) -> None:
        """The next bytes that leave for the client."""
        self.room -= len(data)
        if self.room >= 0:
            self.pieces.append(data)
        elif self.pieces:
            self.pieces.clear()

    def through(self, send: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """`send` with a copy taken on the way."""

        def both(data: bytes) -> None:
            send(data)
            self.add(data)

        return both


def begin(worker: Worker, life: Life) -> None:
    """Start a copy when this run is in a shadow of its alias and its tenant lets something be kept."""
    stamp, state, route, envelope = life.stamp, life.state, life.route, life.envelope
    if stamp is None or state is None or envelope is None or route is None or not route.generates:
        return
    unit = f"{stamp.tenant}\0{stamp.run}"
    chosen = tuple(
        shadow
        for shadow in state.shadows
        if shadow.candidate != stamp.release
        and (not shadow.until_ms or life.at_ms < shadow.until_ms)
        and _drawn(shadow.salt, unit, shadow.rate)
    )
    if not chosen:
        return
    mode = _mode(life)
    if mode == "none":
        return
    room = life.view.settings.shadow.job_bytes - len(envelope.members.body)
    if room < 0:
        worker.store.counters.unshadowed("too_large", len(chosen))
        return
    life.copy = Copy(chosen, mode, room)


def offer(worker: Worker, life: Life, copy: Copy, ended: float) -> None:
    """Hand a captured exchange over, once per candidate; what is no answer to compare with is dropped by reason."""
    why = _unfit(life, copy)
    if why:
        worker.store.counters.unshadowed(why, len(copy.shadows))
        return
    assert life.envelope is not None
    body, reply = life.envelope.members.body, b"".join(copy.pieces)
    for shadow in copy.shadows:
        if worker.store.offers.room(len(body) + len(reply)):
            worker.store.offers.put(_encode(_job(life, copy, shadow, ended)), body, reply)


def give_way(worker: Worker, life: Life) -> None:
    """A provider refused a live request for its rate: the shadow leaves it alone at once (faults.md E13).

    Whether this run is in a shadow does not matter, the key is the same; an alias without one has nobody to tell.
    """
    if life.answer is None or life.state is None or not life.state.shadows:
        return
    wait = retry_after(life.answer.out.fields)
    seconds = min(max(wait or PAUSE_SECONDS, PAUSE_SECONDS), LONGEST_SECONDS)
    worker.store.offers.pause(life.provider, life.at_ms + int(seconds * 1000))


def _unfit(life: Life, copy: Copy) -> str:
    if copy.room < 0:
        return "too_large"
    if life.answer is not None and coded(life.answer.out):
        return "coded"
    if life.outcome in (Outcome.CLIENT_GONE, Outcome.SLOW_CLIENT):
        return "client_gone"
    return "" if life.outcome is Outcome.OK else "primary_failed"


def _drawn(salt: str, unit: str, share: int) -> bool:
    """Whether a unit is in a share of 10,000, without dice where all or none are."""
    return share >= WHOLE or (share > 0 and bucket(salt, unit) < share)


def _mode(life: Life) -> str:
    """What may be kept: the tenant's word, which the request's own header may only lower."""
    settings = life.view.settings
    tenant = settings.tenants.get(life.caller.tenant)
    mode = (tenant.capture if tenant is not None else None) or settings.capture
    asked = life.incoming.fields.get(b"x-trivet-capture", b"").decode("latin-1").strip().lower()
    return least(mode, asked) if asked in CAPTURES else mode


def _job(life: Life, copy: Copy, shadow: Shadow, ended: float) -> Job:
    stamp, route, bound, started = life.stamp, life.route, life.bound, life.incoming.started
    fields = life.incoming.fields
    assert stamp is not None and route is not None and bound is not None and route.operation is not None
    # In the order of the fields: more than fifteen names would make the call ten times as dear.
    return Job(
        f"{life.id}.{shadow.candidate}",
        life.id,
        stamp.tenant,
        stamp.run,
        stamp.alias,
        bound.step,
        stamp.release,
        shadow.candidate,
        route.dialect,
        route.operation.value,
        route.path,
        life.at_ms,
        without_key(life.incoming.query) if life.incoming.query else "",
        tuple([(name, fields[raw].decode("latin-1")) for raw, name in FIELDS if raw in fields]),
        life.events,
        _drawn(shadow.salt, f"secondary\0{life.id}", shadow.secondary),
        shadow.rate / WHOLE,
        copy.mode,
        life.status,
        life.outcome,
        millis(life.first_byte - started) if life.first_byte else 0.0,
        millis(ended - started),
        life.observed,
        life.answer.endpoint if life.answer is not None else "",
    )
