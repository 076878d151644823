"""The handler's side: bodies with their limits, and answers whose framing is decided by the wire."""

from __future__ import annotations

import asyncio

import pytest

from gateway.wire.errors import BadMessage
from gateway.wire.exchange import Incoming
from gateway.wire.flow import Wait

from .rig import answers, closed, connect, exchange, run, serving, until

POST = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    ("status", "length", "body", "method", "version", "lines"),
    [
        (200, 3, b"abc", "GET", "1.1", {b"content-length": b"3"}),
        (200, None, b"abc", "GET", "1.1", {b"transfer-encoding": b"chunked"}),
        (200, 0, b"", "GET", "1.1", {b"content-length": b"0"}),
        (200, None, b"", "GET", "1.1", {b"transfer-encoding": b"chunked"}),
        (200, 3, b"abc", "HEAD", "1.1", {b"content-length": b"3"}),
        (200, None, b"abc", "HEAD", "1.1", {b"transfer-encoding": b"chunked"}),
        (204, None, b"abc", "GET", "1.1", {}),
        (204, 0, b"", "GET", "1.1", {}),
        (304, None, b"", "GET", "1.1", {}),
        (529, 3, b"abc", "GET", "1.1", {b"content-length": b"3"}),
        (200, None, b"abc", "GET", "1.0", {b"connection": b"close"}),
        (200, 3, b"abc", "GET", "1.0", {b"content-length": b"3", b"connection": b"close"}),
    ],
)
def test_framing(
    loop: str, status: int, length: int | None, body: bytes, method: str, version: str, lines: dict[bytes, bytes]
) -> None:
    """Each answer carries exactly the framing its status, method and version ask for, and reads back whole."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(status, b"x-a: b\r\n", length)
        for n in range(len(body)):
            incoming.send(body[n : n + 1])
            await incoming.drained()
        incoming.finish()
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            reader, writer = await connect(stage.port)
            writer.write(f"{method} / HTTP/{version}\r\nHost: h\r\n\r\n".encode())
            if version == "1.1":
                writer.write(b"GET /%b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % b"again")
            got = answers(await reader.read(), *([method, "GET"] if version == "1.1" else [method]))
            head = got[0][1]
            assert got[0][0] == status
            assert head.pop(b"x-a") == b"b"
            assert head == lines
            assert got[0][2] == (b"" if method == "HEAD" or status in {204, 304} else body)
            await closed(writer)

    run(main, loop)


def test_one_write_for_a_plain_answer() -> None:
    """Head and body of a short answer leave in one segment, so that no client waits between them."""

    async def main() -> None:
        async with serving() as stage:
            reader, writer = await connect(stage.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await reader.read(1000)).endswith(b"\r\n\r\nok")
            await closed(writer)

    run(main)


@pytest.mark.parametrize("began", [b"", b"hello"])
def test_short_answers_are_cut(began: bytes) -> None:
    """An answer shorter than its declared length never ends as if it were whole."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", 10)
        incoming.send(began)
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            got = await exchange(stage.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert got.endswith(began)
            with pytest.raises(Exception):  # noqa: B017 - h11's own error
                answers(got)

    run(main)


def test_long_answers_are_an_error() -> None:
    """More bytes than declared are not sent; the handler is told."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", 2)
        incoming.send(b"abc")

    async def main() -> None:
        async with serving(handler) as stage:
            assert b"abc" not in await exchange(stage.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert isinstance(stage.errors[0], RuntimeError)

    run(main)


def test_r6_abort_sends_what_was_said_and_no_end() -> None:
    """Aborting after a last event delivers that event, and closes without the terminal chunk."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", None)
        incoming.send(b"data: x\n\n")
        incoming.send(b"data: error\n\n")
        incoming.abort()
        incoming.abort()

    async def main() -> None:
        async with serving(handler) as stage:
            got = await exchange(stage.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert got.endswith(b"d\r\ndata: error\n\n\r\n")
            got = b""
            reader, writer = await connect(stage.port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionError):
                while True:
                    got += await reader.read(100) or pytest.fail("an answer without framing ended cleanly")
            await closed(writer)

    run(main)


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"Content-Length: 11\r\n\r\n", b""),
        (b"Content-Length: 11\r\n\r\n", b"x" * 11),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"fffffff\r\n" + b"x" * 100),
        (b"Expect: 100-continue\r\nContent-Length: 11\r\n\r\n", b""),
    ],
)
def test_a13_body_over_the_limit(framing: bytes, sent: bytes) -> None:
    """A declared length over the limit is refused before reading (and without 100 Continue), chunks while reading."""

    async def handler(incoming: Incoming) -> None:
        await incoming.body(10)

    async def main() -> None:
        async with serving(handler) as stage:
            got = await exchange(stage.port, POST + framing, sent)
            assert answers(got, "POST")[0][0] == 413
            assert b"100 Continue" not in got
            assert stage.counters.rejected == {"body_size": 1}

    run(main)


def test_a13_endless_chunks_hold_no_memory() -> None:
    """Chunks over the limit are dropped as they come."""
    seen: list[Incoming] = []

    async def handler(incoming: Incoming) -> None:
        seen.append(incoming)
        await incoming.body(100_000)

    async def main() -> None:
        async with serving(handler) as stage:
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            got = await exchange(stage.port, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20, pause=0.001)
            assert answers(got, "POST")[0][0] == 413
            assert sum(map(len, seen[0]._parts)) < 200_000

    run(main)


@pytest.mark.parametrize("whole", [True, False])
def test_a6_broken_chunks(whole: bool) -> None:
    """A broken chunk fails the read with 400 and closes; the handler never sees a body that ended there."""
    bodies: list[bytes] = []

    async def handler(incoming: Incoming) -> None:
        if whole:
            bodies.append(await incoming.body(1000))
        else:
            while piece := await incoming.chunk():
                bodies.append(piece)
            bodies.append(b"END")

    async def main() -> None:
        async with serving(handler) as stage:
            for data in (
                b"5\r\nhello\r\n0x0\r\n\r\n",
                b"5\r\nhelloX\r\n",
                b"5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n",
            ):
                bodies.clear()
                got = await exchange(stage.port, POST + b"Transfer-Encoding: chunked\r\n\r\n" + data)
                assert answers(got, "POST")[0][0] == 400
                assert b"END" not in bodies
                assert not whole or bodies == []
            assert stage.counters.rejected == {"chunk": 3}

    run(main)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_streamed_body_with_backpressure(loop: str) -> None:
    """Read piece by piece, a body arrives whole; while nobody reads, the client is held back."""
    got: list[bytes] = []
    parked: list[Incoming] = []

    async def handler(incoming: Incoming) -> None:
        wait: Wait[None] = Wait()
        parked.append(incoming)
        asyncio.get_running_loop().call_later(0.2, wait.done, None)
        await wait
        while piece := await incoming.chunk():
            got.append(piece)
        incoming.start(200, b"", 2)
        incoming.send(b"ok")
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            reader, writer = await connect(stage.port)
            body = bytes(range(256)) * 100_000
            writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await until(lambda: parked)
            await asyncio.sleep(0.1)
            assert parked[0]._size < 1_000_000
            assert answers(await reader.read(), "POST")[0][0] == 200
            assert b"".join(got) == body
            await closed(writer)

    run(main, loop)


def test_unread_body_closes_the_connection() -> None:
    """An answer given without reading the whole body is readable, and the rest of the body is never read as a request."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(401, b"", 2)
        incoming.send(b"no")
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            smuggled = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
            head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n"
            got = await exchange(stage.port, head, smuggled, smuggled, pause=0.01)
            assert answers(got, "POST")[0][:1] == (401,)
            assert stage.counters.requests == 1

    run(main)


def test_handler_that_catches_a_refusal_may_answer_itself() -> None:
    """A handler may catch what `body` raises and answer in its own shape."""

    async def handler(incoming: Incoming) -> None:
        try:
            await incoming.body(1)
        except BadMessage as bad:
            incoming.start(bad.status, b"x-own: 1\r\n", 0)
            incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            got = await exchange(stage.port, POST + b"Content-Length: 5\r\n\r\nhello")
            assert answers(got, "POST")[0][1][b"x-own"] == b"1"
            assert stage.counters.rejected == {"body_size": 1}

    run(main)
