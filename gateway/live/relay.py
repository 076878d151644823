"""Phase 6, relay: status, headers and bytes back as they come; a decoder observes a copy on the side.

By what the answer is: a stream of events leaves event by event and a streamed array piece by piece (`live.stream`), a
generated body leaves whole or becomes an error (never a truncated 200), everything else leaves piece by piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.routes import Operation
from gateway.live.answers import coded, lost, observe, response_lines
from gateway.live.stream import array, events
from gateway.upstream.answer import excerpt, settle
from gateway.wire.errors import DeadlineExceeded, UpstreamBroken, UpstreamLost

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker
    from gateway.upstream.answer import Settled
    from gateway.wire.client import Outgoing

WHOLE_CAP = 1 << 20
"""A generated body up to this size (bytes) is held until it is whole, so that a cut one can still become an error."""
HELD_CAP = 64 << 10
"""Bytes of an answer to a creation that are held to find the id in."""
CREATED_STATUS = (200, 201)
GONE_STATUS = (404, 410)
"""Statuses by which a provider says that it has no such model (faults.md D9)."""


# To look a member up in its enum costs ten times as much as a name of this file.
_OK, _MODELS, _GENERATE_STREAM = Outcome.OK, Operation.MODELS, Operation.GENERATE_STREAM


class Created(msgspec.Struct, gc=False):
    """Provider state that has just been made, as far as it can be asked for again."""

    id: str = ""
    name: str = ""
    """Google's: `cachedContents/ID`."""
    file: Created | None = None
    """Where Google answers an upload: the file itself is within."""


_created = msgspec.json.Decoder(Created).decode


async def relay(worker: Worker, life: Life) -> None:
    """Send the provider's answer to the client and set `status`, `outcome`, `observed`.

    Raises Fault while the client has seen nothing yet; afterwards ends the answer itself, uncleanly when it was cut.
    """
    answer = life.answer
    assert answer is not None
    out = answer.out
    life.status = out.status
    evented = out.fields.get(b"content-type", b"").startswith(b"text/event-stream")
    route = life.route
    assert route is not None
    if answer.body is not None or (out.status >= 400 and (route.generates or observable(life))):
        await _error(worker, life, out)
    elif not (observable(life) or (evented and route.operation is Operation.STORED)) or (evented and coded(out)):
        await _pieces(worker, life, out, response_lines(life, out))
    elif evented:
        await events(worker, life, out)
    elif route.operation is _GENERATE_STREAM:
        await _begun(worker, life, out)
    else:
        await _whole(worker, life, out)


def observable(life: Life) -> bool:
    """Whether the answer is one whose format is known here: only then is it read on the side, and its shape held to."""
    route = life.route
    return (
        life.stamp is not None and route is not None and route.operation is not None and route.operation is not _MODELS
    )


async def created(worker: Worker, life: Life) -> None:
    """Relay an answer that names new provider state, held until it is whole: the state is its tenant's before anybody has
    the id. What is no such answer is relayed like any other."""
    assert life.answer is not None
    out = life.answer.out
    if out.status not in CREATED_STATUS or coded(out):
        return await relay(worker, life)
    life.status = out.status
    held = b""
    try:
        while len(held) < HELD_CAP and (data := await out.chunk()):
            held += data
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        raise lost(worker, life, error) from None
    identifier = _id_of(held)
    if identifier:
        worker.store.own(life.caller.tenant, identifier, life.answer.endpoint)
    return await _pieces(worker, life, out, response_lines(life, out), held)


def _id_of(body: bytes) -> str:
    try:
        made = _created(body)
        made = made.file or made
        return made.id or made.name.rpartition("/")[2]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""


async def _pieces(worker: Worker, life: Life, out: Outgoing, lines: bytes, first: bytes = b"") -> None:
    """Relay a body nobody here needs to understand. `first` is what came of it already."""
    incoming = life.incoming
    life.sending = True
    # An answer to HEAD declares the length of a body that does not come.
    incoming.start(out.status, lines, out.declared if incoming.method == "HEAD" else out.length)
    incoming.send(first)
    if not out.ready:
        incoming.flush()
    try:
        while data := await out.chunk():
            incoming.send(data)
            await incoming.drained()
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        lost(worker, life, error)
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
    life.incoming.reply(out.status, lines, settled.body)


def _note_gone(worker: Worker, life: Life, settled: Settled) -> None:
    """Mark the release of a run whose pinned model the provider no longer has. The run is not moved, ever (faults.md D9)."""
    stamp = life.stamp
    if stamp is None or not stamp.release:
        return
    word, model = settled.code.lower(), stamp.model.partition("/")[2].encode()
    if "model" in word or "deployment" in word or model in settled.body:
        life.flags = (*life.flags, "release_unavailable")
        worker.meters.release_gone(stamp.release)


async def _begun(worker: Worker, life: Life, out: Outgoing) -> None:
    """Relay what should be a streamed array, by how it begins: anything else may be no answer of the API at all."""
    first = b""
    try:
        while not first.strip() and len(first) < WHOLE_CAP and (data := await out.chunk()):
            first += data
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        raise lost(worker, life, error) from None
    if coded(out):
        await _pieces(worker, life, out, response_lines(life, out), first)
    elif first.lstrip().startswith(b"["):
        await array(worker, life, out, first)
    else:
        await _whole(worker, life, out, first)


async def _whole(worker: Worker, life: Life, out: Outgoing, first: bytes = b"") -> None:
    """Relay a generated body: held until whole up to WHOLE_CAP, then piece by piece. `first` is what came of it already."""
    incoming, dialect, route = life.incoming, life.dialect, life.route
    assert dialect is not None and route is not None and route.operation is not None
    decoder = life.decoder = dialect.decoder(route.operation, stream=False)
    held: list[bytes] = []
    size = 0
    if first:
        decoder.feed(first)
        held.append(first)
        size = len(first)
    try:
        while True:
            data = out.at_hand()
            if data is None:
                data = await out.chunk()
            if not data:
                break
            decoder.feed(data)
            held.append(data)
            size += len(data)
            if size > WHOLE_CAP:
                return await _long(worker, life, out, held)
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        raise lost(worker, life, error) from None
    body = held[0] if len(held) == 1 else b"".join(held)
    observed = decoder.finish()
    if not observed.terminal and not coded(out):
        raise _not_api(life, body)
    observe(worker, life, observed)
    life.sending = True
    incoming.reply(out.status, response_lines(life, out), body)
    if life.copy is not None:
        life.copy.add(body)
    # A whole answer of status 200 may still say that it failed.
    life.outcome = Outcome.PROVIDER_ERROR if observed.error else _OK
    return None


async def _long(worker: Worker, life: Life, out: Outgoing, held: list[bytes]) -> None:
    """The rest of a body too long to hold."""
    incoming, decoder = life.incoming, life.decoder
    assert decoder is not None
    life.sending = True
    incoming.start(out.status, response_lines(life, out), out.length)
    send = incoming.send if life.copy is None else life.copy.through(incoming.send)
    try:
        for piece in held:
            send(piece)
        held.clear()
        await incoming.drained()
        while data := await out.chunk():
            decoder.feed(data)
            send(data)
            await incoming.drained()
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
        lost(worker, life, error)
        incoming.abort()
        return
    incoming.finish()
    life.outcome = Outcome.OK
    observe(worker, life, decoder.finish())


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
