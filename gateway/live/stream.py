"""Answers that come over time: a stream of events leaves event by event, a JSON array piece by piece.

The rule: what was cut never ends cleanly, for every client would take that for the whole answer (faults.md E).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gateway.core.contract.exchange import Outcome
from gateway.core.dialect.sse import EventTooLarge, Splitter
from gateway.live.answers import cut_fault, link, lost, note_mismatch, response_lines
from gateway.live.heartbeat import Heartbeat
from gateway.wire.errors import DeadlineExceeded, UpstreamBroken, UpstreamLost

if TYPE_CHECKING:
    from gateway.core.contract.fault import Fault
    from gateway.core.dialect.base import ArrayDecoder
    from gateway.live.life import Life
    from gateway.live.worker import Worker
    from gateway.wire.client import Outgoing


async def events(worker: Worker, life: Life, out: Outgoing) -> None:
    """Relay a stream: only whole events leave, so an error event can always stand after the last one (faults.md E)."""
    incoming, dialect, route = life.incoming, life.dialect, life.route
    assert dialect is not None and route is not None and route.operation is not None
    decoder = life.decoder = dialect.decoder(route.operation, stream=True)
    observed = life.observed = decoder.observed
    splitter = Splitter(life.view.serve.event_bytes)
    life.sending = life.events = True
    incoming.start(out.status, response_lines(life, out), None)
    if not out.ready:
        incoming.flush()
    beat = _beat(worker, life)
    split, observe, send, calls, states = (
        splitter.feed,
        decoder.feed,
        incoming.send if life.copy is None else life.copy.through(incoming.send),
        observed.tool_calls,
        observed.states,
    )
    linked = kept = 0

    def take(data: bytes) -> bool:
        """Relay the events that are whole now. False when the provider said that it failed, or the client is slow."""
        nonlocal linked, kept
        events = split(data)
        if not events:
            return True
        observe(events)
        if len(calls) > linked or len(states) > kept:
            link(worker, life, calls[linked:], states[kept:])
            linked, kept = len(calls), len(states)
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
        _end_whole(worker, life)
        return
    fault = lost(worker, life, error)
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
            _send(life, rest)
    elif rest and observed.terminal:
        _send(life, rest)
    if observed.error:
        decoder.finish()
        note_mismatch(worker, life)
        life.outcome, life.code = Outcome.PROVIDER_ERROR, observed.error
        worker.meters.stream_abort("upstream", "provider_event")
        if life.answer is not None:
            life.answer.out.abort()
        incoming.abort()
    elif observed.terminal:
        _end_whole(worker, life)
    else:
        decoder.finish()
        note_mismatch(worker, life)
        life.outcome, life.code = Outcome.INCOMPLETE, "upstream_cut"
        worker.meters.stream_abort("upstream", "no_terminal")
        _end_cut(life, cut_fault("The provider ended the stream before its terminal event."))


def _send(life: Life, rest: bytes) -> None:
    """What stands behind the last blank line."""
    life.incoming.send(rest)
    if life.copy is not None:
        life.copy.add(rest)


def _end_whole(worker: Worker, life: Life) -> None:
    """End a stream as its provider did. Its last event may say that the answer failed, which is an end like any other."""
    assert life.decoder is not None
    observed = life.decoder.finish()
    note_mismatch(worker, life)
    life.outcome, life.code = (Outcome.PROVIDER_ERROR if observed.error else Outcome.OK), observed.error
    life.incoming.finish()


def _end_cut(life: Life, fault: Fault) -> None:
    """The dialect's error event, then a close without the terminal chunk: a clean end would pass for success in every SDK."""
    assert life.dialect is not None
    life.incoming.send(life.dialect.stream_error(fault, life.id, life.decoder))
    life.incoming.abort()


async def array(worker: Worker, life: Life, out: Outgoing, first: bytes) -> None:
    """Relay an answer that is one JSON array, as it comes. `first` is what came of it already.

    A client that reads element by element knows the end by the closing bracket: of an answer that lacks its end, that bracket
    stays here. After a cut comes nothing, for what would stand in the array might stand within an element. No length is
    declared: an array that lacks its end could not be told from a whole one by its framing.
    """
    incoming, dialect, route = life.incoming, life.dialect, life.route
    assert dialect is not None and route is not None
    decoder = cast("ArrayDecoder", dialect.decoder(route.operation, stream=False))
    life.decoder = decoder
    observed = life.observed = decoder.observed
    calls = observed.tool_calls
    life.sending = True
    incoming.start(out.status, response_lines(life, out), None)
    send = incoming.send if life.copy is None else life.copy.through(incoming.send)
    linked = 0
    data = first
    try:
        while data:
            decoder.feed(data)
            if len(calls) > linked:
                link(worker, life, calls[linked:])
                linked = len(calls)
            send(data if decoder.withheld < 0 else data[: decoder.withheld])
            if observed.error or decoder.withheld >= 0:
                break
            await incoming.drained()
            data = await out.chunk()
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        ours = isinstance(error, DeadlineExceeded) and error.phase == "write"
        if ours or not decoder.finish().terminal:
            lost(worker, life, error)
            note_mismatch(worker, life)
            incoming.abort()
            return
    _end_array(worker, life, decoder)


def _end_array(worker: Worker, life: Life, decoder: ArrayDecoder) -> None:
    """End an array whose provider ended it, or whose provider said that it failed."""
    observed = decoder.finish()
    note_mismatch(worker, life)
    if observed.terminal and not observed.error:
        life.outcome = Outcome.OK
        life.incoming.finish()
        return
    if observed.error:
        life.outcome, life.code = Outcome.PROVIDER_ERROR, observed.error
        worker.meters.stream_abort("upstream", "provider_event")
    else:
        life.outcome, life.code = Outcome.INCOMPLETE, "upstream_cut"
        worker.meters.stream_abort("upstream", "no_terminal")
    if life.answer is not None:
        life.answer.out.abort()
    life.incoming.abort()
