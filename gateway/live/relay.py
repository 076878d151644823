"""Phase 6, relay: status, headers and bytes back as they come; a decoder observes a copy on the side.

Three ways, by what the answer is: a stream of events leaves event by event, a generated body leaves whole or becomes an
error (never a truncated 200), everything else leaves piece by piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.binding.sources import telling
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.sse import EventTooLarge, Splitter
from gateway.live import stamps
from gateway.live.heartbeat import Heartbeat
from gateway.upstream.answer import RESPONSE_DROPPED, excerpt, settle
from gateway.wire.errors import DeadlineExceeded, UpstreamBroken, UpstreamLost

if TYPE_CHECKING:
    from gateway.core.contract.exchange import Observed
    from gateway.live.life import Life
    from gateway.live.worker import Worker
    from gateway.upstream.answer import Settled
    from gateway.wire.client import Outgoing

WHOLE_CAP = 1 << 20
"""A generated body up to this size (bytes) is held until it is whole, so that a cut one can still become an error."""
GONE_STATUS = (404, 410)
"""Statuses by which a provider says that it has no such model (faults.md D9)."""
TIMEOUT_CODES = {"between_chunks": "upstream_stalled", "total": "upstream_timeout", "first_byte": "upstream_timeout"}


async def relay(worker: Worker, life: Life) -> None:
    """Send the provider's answer to the client and set `status`, `outcome`, `observed`.

    Raises Fault while the client has seen nothing yet; afterwards ends the answer itself, uncleanly when it was cut.
    """
    answer = life.answer
    assert answer is not None
    out = answer.out
    life.status = out.status
    events = out.fields.get(b"content-type", b"").startswith(b"text/event-stream")
    route = life.route
    assert route is not None
    if answer.body is not None or (out.status >= 400 and (route.generates or observable(life))):
        await _error(worker, life, out)
    elif not observable(life) or (events and coded(out)):
        await _pieces(worker, life, out, response_lines(life, out))
    elif events:
        await _events(worker, life, out)
    else:
        await _whole(worker, life, out)


def observable(life: Life) -> bool:
    """Whether the answer is one whose format is known here: only then is it read on the side, and its shape held to."""
    route = life.route
    return (
        life.stamp is not None
        and route is not None
        and route.operation is not None
        and route.operation is not Operation.MODELS
    )


def coded(out: Outgoing) -> bool:
    """Whether a provider compressed its answer although it was asked not to: such bytes pass, but cannot be read here."""
    return out.fields.get(b"content-encoding", b"identity").lower() != b"identity"


def response_lines(life: Life, out: Outgoing, skip: frozenset[bytes] = frozenset()) -> bytes:
    """The provider's header lines, less what is ours to drop, followed by the release's stamp."""
    parts: list[bytes] = []
    for name, value in out.headers:
        lower = name.lower()
        if lower in RESPONSE_DROPPED or lower in skip or lower.startswith(b"x-trivet-"):
            continue
        parts += (name, b": ", value, b"\r\n")
    parts.append(stamps.lines(life))
    return b"".join(parts)


async def _pieces(worker: Worker, life: Life, out: Outgoing, lines: bytes) -> None:
    """Relay a body nobody here needs to understand."""
    incoming = life.incoming
    life.sending = True
    # An answer to HEAD declares the length of a body that does not come.
    incoming.start(out.status, lines, out.declared if incoming.method == "HEAD" else out.length)
    if not out.ready:
        incoming.flush()
    try:
        while data := await out.chunk():
            incoming.send(data)
            await incoming.drained()
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        _cut(worker, life, error)
        incoming.abort()
        return
    incoming.finish()
    life.outcome = Outcome.OK if out.status < 400 else Outcome.PROVIDER_ERROR


async def _error(worker: Worker, life: Life, out: Outgoing) -> None:
    """Relay an error status: the provider's own bytes when they are the API's shape, a wrapped one of the same class otherwise."""
    assert life.answer is not None and life.dialect is not None
    settled = await settle(life.answer, life.dialect)
    life.outcome = Outcome.PROVIDER_ERROR
    life.code = settled.code
    life.excerpt = settled.excerpt
    if settled.fault is not None:
        raise settled.fault
    if out.status in GONE_STATUS:
        _note_gone(worker, life, settled)
    extra = b"".join(n + b": " + v + b"\r\n" for n, v in settled.headers)
    lines = response_lines(life, out, settled.replaced) + extra
    life.sending = True
    life.incoming.start(out.status, lines, len(settled.body))
    life.incoming.send(settled.body)
    life.incoming.finish()


def _note_gone(worker: Worker, life: Life, settled: Settled) -> None:
    """Mark the release of a run whose pinned model the provider no longer has. The run is not moved, ever (faults.md D9)."""
    stamp = life.stamp
    if stamp is None or not stamp.release:
        return
    word, model = settled.code.lower(), stamp.model.partition("/")[2].encode()
    if "model" in word or "deployment" in word or model in settled.body:
        life.flags = (*life.flags, "release_unavailable")
        worker.meters.release_gone(stamp.release)


async def _whole(worker: Worker, life: Life, out: Outgoing) -> None:
    """Relay a generated body: held until whole up to WHOLE_CAP, then piece by piece."""
    incoming, dialect, route = life.incoming, life.dialect, life.route
    assert dialect is not None and route is not None and route.operation is not None
    decoder = life.decoder = dialect.decoder(route.operation, stream=False)
    held: list[bytes] = []
    size = 0
    try:
        while data := await out.chunk():
            decoder.feed(data)
            held.append(data)
            size += len(data)
            if size > WHOLE_CAP:
                return await _long(worker, life, out, held)
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        raise _cut(worker, life, error) from None
    body = held[0] if len(held) == 1 else b"".join(held)
    observed = decoder.finish()
    if not observed.terminal and not coded(out):
        raise _not_api(life, body)
    _observe(worker, life, observed)
    life.sending = True
    incoming.start(out.status, response_lines(life, out), len(body))
    incoming.send(body)
    incoming.finish()
    life.outcome = Outcome.OK
    return None


async def _long(worker: Worker, life: Life, out: Outgoing, held: list[bytes]) -> None:
    """The rest of a body too long to hold."""
    incoming, decoder = life.incoming, life.decoder
    assert decoder is not None
    life.sending = True
    incoming.start(out.status, response_lines(life, out), out.length)
    try:
        for piece in held:
            incoming.send(piece)
        held.clear()
        await incoming.drained()
        while data := await out.chunk():
            decoder.feed(data)
            incoming.send(data)
            await incoming.drained()
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        _cut(worker, life, error)
        incoming.abort()
        return
    incoming.finish()
    life.outcome = Outcome.OK
    _observe(worker, life, decoder.finish())


async def _events(worker: Worker, life: Life, out: Outgoing) -> None:
    """Relay a stream: only whole events leave, so an error event can always stand after the last one (faults.md E)."""
    incoming, dialect, route = life.incoming, life.dialect, life.route
    assert dialect is not None and route is not None and route.operation is not None
    decoder = life.decoder = dialect.decoder(route.operation, stream=True)
    observed = life.observed = decoder.observed
    splitter = Splitter(life.view.serve.event_bytes)
    life.sending = True
    incoming.start(out.status, response_lines(life, out), None)
    if not out.ready:
        incoming.flush()
    beat = _beat(worker, life)
    split, observe, send, calls = splitter.feed, decoder.feed, incoming.send, observed.tool_calls
    linked = 0

    def take(data: bytes) -> bool:
        """Relay the events that are whole now. False when the provider said that it failed, or the client is slow."""
        nonlocal linked
        events = split(data)
        if not events:
            return True
        observe(events)
        if len(calls) > linked:
            link(worker, life, calls[linked:])
            linked = len(calls)
        send(events)
        if observed.error or incoming.congested:
            if beat is not None:
                beat.rest()
            return False
        if beat is not None:
            beat.wait(worker.clock())
        return True

    try:
        while not await out.pump(take):
            if observed.error:
                break
            await incoming.drained()
            if beat is not None:
                beat.wait(worker.clock())
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded, EventTooLarge) as error:
        _end_broken(worker, life, error)
        return
    finally:
        if beat is not None:
            worker.sweeper.forget(beat)
    _end_stream(worker, life, splitter.rest)


def _beat(worker: Worker, life: Life) -> Heartbeat | None:
    """A heartbeat for this stream, where the configuration asks for one."""
    seconds = life.view.serve.heartbeat
    if not seconds:
        return None
    beat = Heartbeat(life.incoming, seconds, worker.meters.heartbeats)
    beat.wait(worker.clock())
    worker.sweeper.watch(beat)
    return beat


def _end_broken(worker: Worker, life: Life, error: Exception) -> None:
    """End a stream that broke. After its terminal event it was whole, whatever became of the connection."""
    assert life.decoder is not None
    ours = isinstance(error, DeadlineExceeded) and error.phase == "write"
    if life.decoder.observed.terminal and not ours:
        if life.answer is not None:
            life.answer.out.abort()
        note_mismatch(worker, life)
        life.outcome = Outcome.OK
        life.incoming.finish()
        return
    fault = _cut(worker, life, error)
    note_mismatch(worker, life)
    _end_cut(life, fault)


def _end_stream(worker: Worker, life: Life, rest: bytes) -> None:
    """End a stream whose provider ended it, or whose provider said that it failed."""
    incoming, decoder = life.incoming, life.decoder
    assert decoder is not None
    observed = decoder.observed
    if rest and not observed.error and not observed.terminal:
        # The last event may lack its blank line; it counts when it is the terminal one.
        decoder.feed(rest + b"\n\n")
        if observed.terminal:
            incoming.send(rest)
    elif rest and observed.terminal:
        incoming.send(rest)
    decoder.finish()
    note_mismatch(worker, life)
    if observed.error:
        life.outcome, life.code = Outcome.PROVIDER_ERROR, observed.error
        worker.meters.stream_abort("upstream", "provider_event")
        if life.answer is not None:
            life.answer.out.abort()
        incoming.abort()
    elif observed.terminal:
        life.outcome = Outcome.OK
        incoming.finish()
    else:
        life.outcome, life.code = Outcome.INCOMPLETE, "upstream_cut"
        worker.meters.stream_abort("upstream", "no_terminal")
        _end_cut(life, cut_fault("The provider ended the stream before its terminal event."))


def cut_fault(message: str, code: str = "upstream_cut") -> Fault:
    """The fault that a cut stream ends with."""
    return Fault(Kind.UPSTREAM, code, message, side=Side.PROVIDER, retry=False)


def _end_cut(life: Life, fault: Fault) -> None:
    """The dialect's error event, then a close without the terminal chunk: a clean end would pass for success in every SDK."""
    assert life.dialect is not None
    life.incoming.send(life.dialect.stream_error(fault, life.id, life.decoder))
    life.incoming.abort()


def _cut(worker: Worker, life: Life, error: Exception) -> Fault:
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


def _not_api(life: Life, body: bytes) -> Fault:
    """A false success: no answer of this API, or not the whole of it (faults.md D5)."""
    life.outcome, life.code = Outcome.PROVIDER_ERROR, "upstream_protocol"
    if life.answer is not None:
        life.answer.provider.error("shape")
        life.excerpt = excerpt(body, life.answer.at.secrets)
    return Fault(
        Kind.UPSTREAM,
        "upstream_protocol",
        "The provider answered with something that is not its API's format.",
        side=Side.PROVIDER,
    )


def _observe(worker: Worker, life: Life, observed: Observed) -> None:
    life.observed = observed
    if observed.tool_calls:
        link(worker, life, observed.tool_calls)
    note_mismatch(worker, life)


def link(worker: Worker, life: Life, ids: list[str]) -> None:
    """Queue the ids that the next request of this run may bring, before the client can have them."""
    kept = [each for each in ids if telling(each)]
    if life.stamp is not None and kept:
        worker.store.link(life.stamp.tenant, kept, life.stamp)


def note_mismatch(worker: Worker, life: Life) -> None:
    """Flag an answer whose model is not the pinned one (faults.md D10); it passes all the same."""
    observed, release = life.decoder.observed if life.decoder is not None else None, life.release
    if observed is None or release is None or not observed.model:
        return
    pinned = release.snapshot.model
    if observed.model != pinned and not observed.model.endswith("/" + pinned):
        life.flags = (*life.flags, "model_mismatch")
        worker.meters.model_mismatch(life.alias, release.id)
