"""What all kinds of answers have in common: their header lines, what is noted of them on the side, and how a lost one is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.binding.sources import telling
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.contract.release import PinClass
from gateway.core.dialect.sse import EventTooLarge
from gateway.live import stamps
from gateway.upstream.answer import RESPONSE_DROPPED
from gateway.wire.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.contract.exchange import Observed
    from gateway.live.life import Life
    from gateway.live.worker import Worker
    from gateway.wire.client import Outgoing

NAMES_KEPT = 512
"""Field names of answers of which is remembered whether clients get them."""
_FLOATING = PinClass.FLOATING  # ten times as fast as to look it up in its enum
TIMEOUT_CODES = {"between_chunks": "upstream_stalled", "total": "upstream_timeout", "first_byte": "upstream_timeout"}


def response_lines(life: Life, out: Outgoing, skip: frozenset[bytes] = frozenset()) -> bytes:
    """The provider's header lines, less what is ours to drop, followed by the release's stamp."""
    parts: list[bytes] = []
    kept = life.view.answered
    for name, value in out.headers:
        keep = kept.get(name)
        if keep is None:
            keep = _keeps(name, kept)
        if keep and not (skip and name.lower() in skip):
            parts += (name, b": ", value, b"\r\n")
    parts.append(stamps.lines(life))
    return b"".join(parts)


def _keeps(name: bytes, kept: dict[bytes, bool]) -> bool:
    """Whether clients get a field of a provider's answer; remembered within a bound, for names come again."""
    lower = name.lower()
    keep = lower not in RESPONSE_DROPPED and not lower.startswith(b"x-trivet-")
    if len(kept) < NAMES_KEPT:
        kept[name] = keep
    return keep


def coded(out: Outgoing) -> bool:
    """Whether a provider compressed its answer although it was asked not to: such bytes pass, but cannot be read here."""
    return out.fields.get(b"content-encoding", b"identity").lower() != b"identity"


def cut_fault(message: str, code: str = "upstream_cut") -> Fault:
    """The fault that a cut stream ends with."""
    return Fault(Kind.UPSTREAM, code, message, side=Side.PROVIDER, retry=False)


def lost(worker: Worker, life: Life, error: Exception) -> Fault:
    """Note how the provider's answer was lost, and the fault that says so."""
    if life.answer is not None:
        life.answer.out.abort()
    if isinstance(error, DeadlineExceeded) and error.phase == "write":
        life.outcome, life.code = Outcome.SLOW_CLIENT, "slow_client"
        worker.meters.stream_abort("client", "slow")
        return cut_fault("The client stopped reading.", "slow_client")
    if life.answer is not None:
        life.answer.provider.error("body")
    if isinstance(error, EventTooLarge):
        life.outcome, life.code = Outcome.CUT, "event_too_large"
        worker.meters.stream_abort("upstream", "event_too_large")
        return cut_fault("The provider sent one event larger than `serve.event_bytes`.", "event_too_large")
    if isinstance(error, DeadlineExceeded):
        life.outcome, life.code = Outcome.TIMEOUT, TIMEOUT_CODES.get(error.phase, "upstream_timeout")
        worker.meters.stream_abort("upstream", error.phase)
        return Fault(
            Kind.TIMEOUT,
            life.code,
            "The provider stopped sending before its answer was whole.",
            side=Side.PROVIDER,
            retry=False,
        )
    life.outcome, life.code = Outcome.CUT, "upstream_cut"
    worker.meters.stream_abort("upstream", "cut")
    return cut_fault("The provider's answer was cut before it was whole.")


def observe(worker: Worker, life: Life, observed: Observed) -> None:
    """Keep what a whole answer showed, and queue its links."""
    life.observed = observed
    if observed.tool_calls or observed.states:
        link(worker, life, observed.tool_calls, observed.states)
    note_mismatch(worker, life)


def link(worker: Worker, life: Life, ids: list[str], states: Sequence[str] = ()) -> None:
    """Queue the ids that the next request of this run may bring, before the client can have them: those of tool calls, and
    those of state, which the provider itself tells apart."""
    kept = [each for each in ids if telling(each)]
    if life.stamp is not None and (kept or states):
        keeper = life.answer.endpoint if life.answer is not None else ""
        worker.store.link(life.stamp.tenant, kept, life.stamp, states, keeper)


def note_mismatch(worker: Worker, life: Life) -> None:
    """Flag an answer whose model is not the pinned one (faults.md D10); it passes all the same."""
    observed, release = life.decoder.observed if life.decoder is not None else None, life.release
    if observed is not None and release is not None and another_model(life, observed.model):
        life.flags = (*life.flags, "model_mismatch")
        worker.meters.model_mismatch(life.alias, release.id)


def another_model(life: Life, named: str) -> bool:
    """Whether an answer names another model than its release's: neither the id itself, also with a publisher before it, nor the
    name that the endpoint knows it by. A name that floats resolves to any."""
    release = life.release
    if release is None or not named or release.pin is _FLOATING:
        return False
    pinned = release.snapshot.model
    at = life.answer.at if life.answer is not None else None
    if at is not None and named == at.models.get(pinned):
        return False
    return named != pinned and not named.endswith("/" + pinned)
