"""Recorded exchanges, whole, byte by byte and cut anywhere: the client receives what the provider sent, byte for byte."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from gateway.core.contract.reply import Reply
from gateway.core.dialect.registry import DIALECTS as KNOWN
from gateway.core.dialect.routes import find
from gateway.core.dialect.sse import Splitter
from tests.end_to_end.recorded import FOLDER, MODELS, Exchange, alias_of, as_array, golden, recordings
from tests.faults.watch import Answer, Raw
from tests.gateway_process import Gateway, port_of, running
from tests.provider import Provider, Received, head
from tests.provider import Reply as Writer

ENDS = {
    "openai": ((b"[DONE]",), b"data: "),
    "responses": ((b'"response.completed"', b'"response.incomplete"', b'"response.failed"'), b"event: error\ndata: "),
    "anthropic": ((b'"message_stop"',), b"event: error\ndata: "),
    "gemini": ((b'"finishReason"', b'"blockReason"'), b"data: "),
}
"""By dialect: what may stand in the last event of a whole stream, and what the event that ends a cut one begins with."""
OPENAI_ERROR = {"message", "type", "param", "code"}
ERRORS = {
    "openai": OPENAI_ERROR,
    "responses": OPENAI_ERROR,
    "anthropic": {"type", "message"},
    "gemini": {"code", "message", "status", "details"},
}
"""By dialect: the members of an error of the gateway's own."""
SAMPLE, SMALL = 5, 6000
"""How many exchanges of a dialect go byte by byte outside of the slow run, and up to which size."""
Cut = Callable[[bytes], list[bytes]]


def whole(body: bytes) -> list[bytes]:
    """In one piece."""
    return [body] if body else []


def single(body: bytes) -> list[bytes]:
    """Byte by byte."""
    return [body[i : i + 1] for i in range(len(body))]


def anywhere(seed: str) -> Cut:
    """Cut at random points."""

    def cut(body: bytes) -> list[bytes]:
        dice = random.Random(seed)
        points = sorted(dice.sample(range(1, len(body)), min(len(body) - 1, 12))) if len(body) > 1 else []
        return [body[a:b] for a, b in zip([0, *points], [*points, len(body)], strict=True) if b > a]

    return cut


@dataclass
class Stage:
    """A gateway with one alias, and a provider that answers what a header of the request names."""

    gateway: Gateway
    provider: Provider
    scripts: dict[str, tuple[Exchange, list[bytes]]]
    sent: dict[str, Received]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One gateway for the module."""
    scripts: dict[str, tuple[Exchange, list[bytes]]] = {}
    sent: dict[str, Received] = {}

    async def behave(received: Received, reply: Writer) -> None:
        key = received.fields["x-replay"]
        sent[key] = received
        exchange, pieces = scripts[key]
        reply.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if exchange.stream:
            await reply.write(head(exchange.status, {**exchange.headers, "transfer-encoding": "chunked"}))
            for piece in pieces:
                await reply.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await asyncio.sleep(0)
            await reply.write(b"0\r\n\r\n")
        else:
            await reply.write(head(exchange.status, {**exchange.headers, "content-length": str(len(exchange.body))}))
            for piece in pieces:
                await reply.write(piece)
                await asyncio.sleep(0)

    aliases = {alias_of(dialect): {"first_release": {"model": model}} for dialect, model in MODELS.items()}
    providers = [model.partition("/")[0] for model in MODELS.values()]
    # Statuses that the gateway would try again are wanted as they are here.
    with (
        Provider(behave) as provider,
        running(
            dict.fromkeys(providers, provider.url),
            aliases=aliases,
            retry={"budget": 0, "minimum": 0, "breaker_failures": 100_000},
        ) as gateway,
    ):
        yield Stage(gateway, provider, scripts, sent)


def replay(stage: Stage, exchange: Exchange, cut: Cut, key: str) -> tuple[Answer | None, bytes]:
    """One exchange through the gateway: the whole answer, or None and what came before an unclean end."""
    stage.scripts[key] = (exchange, cut(exchange.body))
    lines = f"POST {exchange.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nx-replay: {key}\r\n"
    lines += f"Content-Length: {len(exchange.request)}\r\n\r\n"
    with Raw(port_of(stage.gateway.base), 30) as link:
        link.send(lines.encode() + exchange.request)
        try:
            return link.answer(), b""
        except EOFError:
            return None, link.data


def dechunked(data: bytes) -> bytes:
    """The body bytes of a chunked answer that was cut."""
    _, _, rest = data.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def same(stage: Stage, exchange: Exchange, cut: Cut, kind: str) -> None:
    """The exchange reaches both sides unchanged; a stream that lacks its end, or says it failed, never ends cleanly."""
    key = f"{exchange.name}.{kind}"
    got, raw = replay(stage, exchange, cut, key)
    received = stage.sent[key]
    assert received.body == exchange.upstream, key
    assert received.target == exchange.target
    if exchange.stream:
        streamed(exchange, got, raw)
        return
    assert got is not None, key
    if not proper(exchange):
        # Not the API's own shape: an error of the same class instead, a success that is none becomes 502 (faults.md D5).
        assert got.json["error"].keys() == ERRORS[exchange.dialect], (key, got.body)
        assert got.status == (
            exchange.status if exchange.status >= 400 else 503 if exchange.dialect == "gemini" else 502
        )
        return
    assert (got.status, got.body) == (exchange.status, exchange.body), key
    # A JSON array that comes over time declares no length, so that one without its end cannot pass for whole.
    length = None if ":streamGenerateContent" in exchange.target else str(len(exchange.body))
    assert got.headers.get("content-length") == length, key
    passed(exchange, got)


def proper(exchange: Exchange) -> bool:
    """Whether a whole body is what the API answers: an error of its shape, or a JSON object."""
    if exchange.status >= 400:
        return KNOWN[exchange.dialect].looks_like_error(exchange.body)
    try:
        return isinstance(json.loads(exchange.body), list if "stream" in exchange.path else dict)
    except ValueError:
        return False


def streamed(exchange: Exchange, got: Answer | None, raw: bytes) -> None:
    """A stream arrives as sent; without its terminal event, the whole events, an error event, and no clean end (E3)."""
    body, (lasts, begin) = exchange.body, ENDS[exchange.dialect]
    whole = any(last in body for last in lasts)
    if got is not None:
        assert got.body == body, exchange.name
        assert whole
        passed(exchange, got)
        return
    seen = dechunked(raw)
    if seen == body[: len(seen)]:
        # The provider's own error event is the end; what it may have said after that is not waited for.
        assert b'"error"' in seen, exchange.name
        return
    kept, _, error = seen.rpartition(begin)
    assert body.startswith(kept), exchange.name
    assert b"upstream_cut" in error
    assert json.loads(error)["error"].keys() == ERRORS[exchange.dialect]
    assert not whole


def passed(exchange: Exchange, got: Answer) -> None:
    """Every header of the provider's is there, untouched, beside Trivet's own."""
    for name, value in exchange.headers.items():
        assert got.headers[name] == value.strip(), (exchange.name, name)
    assert got.headers["x-trivet-alias"] == exchange.alias
    assert got.headers["x-trivet-model"] == MODELS[exchange.dialect]


def each(work: Callable[[Exchange], None], exchanges: tuple[Exchange, ...] | list[Exchange]) -> None:
    """Replay some at a time."""
    assert exchanges
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, exchanges))


needs_recordings = pytest.mark.skipif(not FOLDER.is_dir(), reason="no recorded exchanges here; set TRIVET_EXCHANGES")


def test_golden_whole(stage: Stage) -> None:
    """The own set in one piece."""
    each(lambda exchange: same(stage, exchange, whole, "whole"), golden())


def test_golden_byte_by_byte(stage: Stage) -> None:
    """The own set byte by byte."""
    each(lambda exchange: same(stage, exchange, single, "single"), golden())


@pytest.mark.parametrize("seed", range(4))
def test_golden_cut_anywhere(stage: Stage, seed: int) -> None:
    """The own set cut at random points."""
    each(lambda exchange: same(stage, exchange, anywhere(f"{exchange.name}{seed}"), f"cut{seed}"), golden())


@needs_recordings
def test_recorded_whole(stage: Stage) -> None:
    """Every recording in one piece."""
    assert len(recordings()) > 200
    each(lambda exchange: same(stage, exchange, whole, "whole"), recordings())


@needs_recordings
def test_recorded_cut_anywhere(stage: Stage) -> None:
    """Every recording cut at random points."""
    each(lambda exchange: same(stage, exchange, anywhere(exchange.name), "cut"), recordings())


@needs_recordings
def test_recorded_sample_byte_by_byte(stage: Stage) -> None:
    """Some recordings of each dialect, streams and bodies, byte by byte."""
    small = [exchange for exchange in recordings() if 0 < len(exchange.body) < SMALL]
    chosen = []
    for kind in itertools.product(MODELS, (True, False)):
        chosen += [exchange for exchange in small if (exchange.dialect, exchange.stream) == kind][:SAMPLE]
    each(lambda exchange: same(stage, exchange, single, "single"), chosen)


def put_together(exchange: Exchange, pieces: list[bytes]) -> Reply:
    """The reply that an answer is offline, from these pieces."""
    operation = find(exchange.path.partition("?")[0], ()).operation
    assert operation is not None
    assembler = KNOWN[exchange.dialect].assembler(operation, exchange.stream)
    for piece in pieces:
        assembler.feed(piece)
    return assembler.finish()


@needs_recordings
def test_recorded_replies() -> None:
    """Every recording decodes to the same reply whole, byte by byte and cut; what the live decoder saw is part of it."""
    for exchange in recordings():
        body = exchange.body
        reply = put_together(exchange, [body])
        for pieces in (single(body), anywhere(exchange.name)(body)):
            assert put_together(exchange, pieces) == reply, exchange.name
        if not exchange.stream:
            continue
        crlf = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert put_together(exchange, single(crlf)) == reply, exchange.name
        splitter = Splitter(len(body) + 1)
        decoder = KNOWN[exchange.dialect].decoder(find(exchange.path.partition("?")[0], ()).operation, stream=True)
        for piece in single(body):
            if events := splitter.feed(piece):
                decoder.feed(events)
        decoder.feed(splitter.rest)
        assert decoder.finish() == reply.observed, exchange.name
        if exchange.dialect == "gemini" and reply.observed.terminal:
            array = as_array(exchange)
            assert put_together(array, single(array.body)) == reply, exchange.name
        assert reply.messages or reply.observed.error or not reply.observed.model, exchange.name


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_recordings
def test_recorded_byte_by_byte(stage: Stage) -> None:
    """Every recording byte by byte."""
    each(lambda exchange: same(stage, exchange, single, "every"), recordings())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_recordings
@pytest.mark.parametrize("seed", range(20))
def test_recorded_cut_in_many_ways(stage: Stage, seed: int) -> None:
    """Every recording cut at random points, twenty times."""
    each(lambda exchange: same(stage, exchange, anywhere(f"{exchange.name}{seed}"), f"cut{seed}"), recordings())
