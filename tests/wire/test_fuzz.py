"""Mutated requests, split anywhere: the server never fails, and what reaches a handler reads the same in a second parser.

The second parser is h11, given the same bytes. Where the wire accepts a request, h11 must accept it with the same method,
target, fields and body; the wire may refuse more.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any, cast

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.connection import Connection
from gateway.wire.counters import WireCounters
from gateway.wire.exchange import Incoming
from gateway.wire.heads import CREDENTIALS
from gateway.wire.server import Server, ServerLimits

from .rig import OWN, refuse

SEEDS = [
    b"GET /v1/models HTTP/1.1\r\nHost: own.test\r\n\r\n",
    b"POST /v1/chat?x=1 HTTP/1.1\r\nHost: own.test:8080\r\nContent-Length: 11\r\nX-A: b\r\n\r\nhello world",
    b"POST /v1/chat HTTP/1.1\r\nHost: own.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\nhi",
    b"GET http://own.test/x HTTP/1.1\r\nHost: h\r\nAccept: a\r\nAccept: b\r\n\r\n",
    b"POST /x HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    b"PUT /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
]
BITS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\xff", b":", b";", b",", b"0", b"5", b"-1", b"0x", b"\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"transfer-encoding:chunked\r\n",
    b"Host: b\r\n", b"GET / HTTP/1.1\r\nHost: s\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1", b"Connection: close\r\n", b"\r\n ", b"/../",
    b"%2f", b"_", b"Upgrade: websocket\r\n", b"#", b"chunked", b"identity", b"Expect: x\r\n",
]  # fmt: skip


class Wires:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


Request = tuple[str, bytes, list[tuple[bytes, bytes]], bytes]
HOPS = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"http2-settings", b"content-length", b"host", b"expect",
}  # fmt: skip


def through_wire(pieces: list[bytes]) -> tuple[list[Request], bytes]:
    """Requests that reached the handler, and what was answered."""
    got: list[Request] = []
    errors: list[BaseException] = []

    async def handler(incoming: Incoming) -> None:
        body = await incoming.body(10_000)
        got.append((incoming.method, incoming.target, incoming.headers, body))
        for name, _ in incoming.headers:
            assert name.lower() not in HOPS
        for name in incoming.fields:
            assert name == b"host" or name in CREDENTIALS or name in {n.lower() for n, _ in incoming.headers}
        incoming.start(200, b"", 0)
        incoming.finish()

    async def main() -> bytes:
        server = Server(handler, refuse, ServerLimits(), WireCounters(), OWN)
        server.loop = asyncio.get_running_loop()
        server.on_error = errors.append
        connection = Connection(server)
        wires = Wires()
        connection.connection_made(cast("asyncio.Transport", wires))
        for piece in pieces:
            if wires.closed:
                break
            connection.data_received(piece)
        if not wires.closed:
            connection.eof_received()
        wires.closed = True
        connection.connection_lost(None)
        assert server.active == 0
        assert server.connections == 0
        server._sweeper.close()
        return wires.written

    written = asyncio.run(main())
    assert errors == [], errors
    return got, written


def through_h11(data: bytes) -> list[Request]:
    """Whole requests as h11 reads them, up to the first it refuses."""
    found: list[Request] = []
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
    server.receive_data(data)
    server.receive_data(b"")
    try:
        while True:
            event = server.next_event()
            if not isinstance(event, h11.Request):
                return found
            body = b""
            while isinstance(part := server.next_event(), h11.Data):
                body += part.data
            if not isinstance(part, h11.EndOfMessage):
                return found
            found.append((event.method.decode(), event.target, list(event.headers.raw_items()), body))
            server.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            server.send(h11.EndOfMessage())
            if server.their_state is not h11.DONE:
                return found
            server.start_next_cycle()
    except h11.RemoteProtocolError:
        return found


def end_to_end(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields that may be handed on."""
    named = {
        token.strip().lower() for name, value in headers if name.lower() == b"connection" for token in value.split(b",")
    }
    return [(name, value) for name, value in headers if name.lower() not in HOPS | named]


def check(pieces: list[bytes]) -> int:
    """One input; returns how many requests the wire accepted."""
    got, written = through_wire(pieces)
    other = through_h11(b"".join(pieces))
    assert len(got) <= len(other), (got, other)
    for ours, theirs in zip(got, other, strict=False):
        assert (ours[0], ours[1], ours[3]) == (theirs[0], theirs[1], theirs[3])
        assert ours[2] == end_to_end(theirs[2])
    assert written.count(b"HTTP/1.1 200") == len(got)
    return len(got)


def mutate(data: bytes, edits: list[tuple[int, int, int, int]]) -> bytes:
    """Insert, delete, replace, duplicate, as the numbers say."""
    for kind, place, what, size in edits:
        at = place % (len(data) + 1)
        if kind == 0:
            data = data[:at] + BITS[what % len(BITS)] + data[at:]
        elif kind == 1:
            data = data[:at] + data[at + size :]
        elif kind == 2:
            data = data[:at] + bytes((what % 256,)) + data[at + 1 :]
        elif kind == 3:
            data = data[:at] + data[at : at + size * 4] + data[at:]
        else:
            line = data.find(b"\r\n", at)
            if line >= 0:
                data = data[: line + 2] + BITS[what % len(BITS)] + data[line + 2 :]
    return data


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut at the given places."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


EDIT = st.tuples(st.integers(0, 4), st.integers(0, 400), st.integers(0, 255), st.integers(1, 8))


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3),
    st.lists(EDIT, max_size=4),
    st.lists(st.integers(0, 900), max_size=6),
)
def test_a20_mutations_read_alike(seeds: list[bytes], edits: list[tuple[int, int, int, int]], cuts: list[int]) -> None:
    """Whatever reaches the handler parses the same in h11, from any split, and nothing fails on the way."""
    check(split(mutate(b"".join(seeds), edits), cuts))


def test_seeds_are_accepted() -> None:
    """The comparison means something: unmutated seeds all pass, alone, together and byte by byte."""
    for seed in SEEDS:
        assert check([seed]) == 1
        assert check([seed[n : n + 1] for n in range(len(seed))]) == 1
    together = [seed for seed in SEEDS if b"HTTP/1.0" not in seed]
    assert check([b"".join(together)]) == len(together)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a20_many_mutations() -> None:
    """A hundred thousand mutations from a fixed seed: no disagreement."""
    dice = random.Random(20)
    for _ in range(100_000):
        data = b"".join(dice.choices(SEEDS, k=dice.randint(1, 3)))
        edits = [
            (dice.randint(0, 4), dice.randrange(400), dice.randrange(256), dice.randint(1, 8))
            for _ in range(dice.choice((0, 1, 1, 2, 2, 3, 5)))
        ]
        check(split(mutate(data, edits), [dice.randrange(900) for _ in range(dice.choice((0, 0, 1, 3)))]))
