"""A client connection: order, keep-alive, deadlines, and clients that leave or stall."""

from __future__ import annotations

import asyncio
import dataclasses
import socket

import pytest

from gateway.wire.errors import BadMessage, ClientGone, DeadlineExceeded
from gateway.wire.exchange import Incoming
from gateway.wire.flow import Wait
from gateway.wire.server import ServerLimits

from .rig import QUICK, answers, closed, connect, exchange, run, serving, until

GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_a19_pipelined_requests(loop: str, size: int) -> None:
    """Forty pipelined requests, with and without bodies, cut anywhere, are answered in order, none lost or doubled."""

    async def handler(incoming: Incoming) -> None:
        body = await incoming.body(100)
        told = incoming.path.encode() + body
        incoming.start(200, b"", len(told) if len(body) % 2 else None)
        incoming.send(told)
        incoming.finish()

    data = b"".join(
        GET % n if n % 3 else b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (n, n, b"x" * n) if n % 2
        else b"POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" % n
        for n in range(40)
    ) + LAST  # fmt: skip

    async def main() -> None:
        async with serving(handler) as stage:
            got = await exchange(stage.port, *(data[n : n + size] for n in range(0, len(data), size)))
            bodies = [a[2] for a in answers(got, *["POST"] * 41)]
            assert [b.split(b"x")[0].removesuffix(b"ab") for b in bodies] == [b"/%d" % n for n in range(40)] + [
                b"/last"
            ]
            assert bodies[9] == b"/9" + b"x" * 9
            assert bodies[12] == b"/12ab"
            assert stage.counters.requests == 41
            assert stage.counters.accepted == 1

    run(main, loop)


def test_pipelined_requests_wait_for_a_slow_handler() -> None:
    """The handler of a request starts when the one before it has ended, and what a client sends ahead is bounded."""
    gate: list[Wait[None]] = []

    async def handler(incoming: Incoming) -> None:
        wait: Wait[None] = Wait()
        gate.append(wait)
        incoming.start(200, b"", 0)
        incoming.finish()
        await wait

    async def main() -> None:
        async with serving(handler) as stage:
            _, writer = await connect(stage.port)
            writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            writer.write(b"".join(GET % n for n in range(200_000)))
            await asyncio.sleep(0.2)
            assert len(gate) == 1
            assert writer.transport.get_write_buffer_size() > 1_000_000
            gate[0].done(None)
            assert len(gate) == 2
            writer.transport.abort()
            await asyncio.sleep(0.02)
            for wait in gate:
                wait.done(None)
            while stage.server.active:
                gate[-1].done(None)
                await asyncio.sleep(0)

    run(main)


def test_a19_expect_continue() -> None:
    """100 Continue is sent when the handler asks for the body, and not when it came at once."""

    async def main() -> None:
        async with serving() as stage:
            reader, writer = await connect(stage.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc" + LAST)
            assert [a[0] for a in answers(await reader.read(), "POST", "GET")] == [200, 200]
            assert stage.asked[0].body == b"abc"
            await closed(writer)
            got = await exchange(
                stage.port,
                b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + LAST,
            )
            assert b"100 Continue" not in got

    run(main)


@pytest.mark.parametrize(
    ("pieces", "phase", "status"),
    [
        ((), "head", None),
        ((b"GET /x HT",), "head", None),
        ((b"GET /x HTTP/1.1\r\nHost: h\r\n",), "head", None),
        (
            (b"GET", b" /x HT", b"TP/1.1\r\nHo", b"st: h\r\n", b"A: b\r\n", b"B: c\r\n", b"D: e\r\n", b"F: g\r\n"),
            "head",
            None,
        ),
        ((b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",), "body", 408),
        ((b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n", *[b"a"] * 12), "body", 408),
        ((b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",), "body", 408),
    ],
)
def test_a15_slow_clients(pieces: tuple[bytes, ...], phase: str, status: int | None) -> None:
    """A client that stalls or drips is closed within the deadline of its phase; once its head was complete, with a 408."""

    async def main() -> None:
        async with serving() as stage:
            begun = asyncio.get_running_loop().time()
            got = await exchange(stage.port, *pieces, pause=0.05)
            took = asyncio.get_running_loop().time() - begun
            assert 0.25 < took < 0.3 + 0.45
            assert stage.counters.client_timeouts == {phase: 1}
            assert [a[0] for a in answers(got)] == [status] if status else got == b""
            assert stage.asked == []

    run(main)


def test_a15_second_request_and_idle() -> None:
    """On a kept connection silence closes it at the idle limit, a dripping second head at the head limit."""

    async def main() -> None:
        async with serving() as stage:
            first = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            assert answers(await exchange(stage.port, first))[0][0] == 200
            assert stage.counters.client_timeouts == {}
            # The first request and the dripping second one in one go of writes: a busy machine must not make the pause idle.
            got = await exchange(stage.port, first + b"G", *[b"E", b"T", b" ", b"/", b"x", b"y"], pause=0.06)
            assert answers(got)[0][0] == 200
            assert stage.counters.client_timeouts == {"head": 1}

    run(main)


def test_a15_many_stalled_clients_do_not_delay_others() -> None:
    """With hundreds of stalled connections a normal request is answered as fast as without."""

    async def main() -> None:
        limits = dataclasses.replace(QUICK, head_seconds=5.0)
        async with serving(limits=limits) as stage:
            stalled = [await connect(stage.port) for _ in range(300)]
            for _, writer in stalled:
                writer.write(b"GET /x HT")
            begun = asyncio.get_running_loop().time()
            for _ in range(20):
                assert answers(await exchange(stage.port, LAST))[0][0] == 200
            assert asyncio.get_running_loop().time() - begun < 1.0
            for _, writer in stalled:
                writer.transport.abort()
            await until(lambda: stage.server.connections == 0)
            assert stage.counters.disconnects == {"head": 300}

    run(main)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("leave", ["abort", "close", "half"])
@pytest.mark.parametrize("phase", ["body", "wait", "stream"])
def test_e5_client_gone_interrupts_at_once(loop: str, leave: str, phase: str) -> None:
    """In each window the flow is interrupted with ClientGone the moment the client closes, even one direction only."""
    seen: list[str] = []

    async def handler(incoming: Incoming) -> None:
        try:
            if phase == "body":
                await incoming.body(10)
            elif phase == "stream":
                incoming.start(200, b"", None)
                incoming.send(b"first")
            await Wait()
        except ClientGone as gone:
            seen.append(gone.phase)
            incoming.send(b"into the void")
            incoming.finish()
            raise

    async def main() -> None:
        async with serving(handler) as stage:
            reader, writer = await connect(stage.port)
            length = b"Content-Length: 4\r\n" if phase == "body" else b""
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\n" + length + b"\r\n")
            if phase == "stream":
                await reader.readuntil(b"first")
            await until(lambda: stage.server.active == 1)
            begun = asyncio.get_running_loop().time()
            if leave == "abort":
                writer.transport.abort()
            elif leave == "close":
                writer.close()
            else:
                writer.write_eof()
            await until(lambda: seen)
            assert asyncio.get_running_loop().time() - begun < 0.2
            assert seen == [phase]
            assert stage.counters.disconnects == {phase: 1}
            await until(lambda: stage.server.active == 0)
            assert stage.errors == []
            writer.transport.abort()
            await closed(writer)

    run(main, loop)


def test_e6_slow_reader() -> None:
    """A reader that takes nothing holds the writer at the transport's bound and loses it at the write limit."""
    seen: list[object] = []
    sizes: list[int] = []

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", None)
        try:
            while True:
                incoming.send(b"x" * 10_000)
                sizes.append(incoming._transport.get_write_buffer_size())
                await incoming.drained()
        except DeadlineExceeded as late:
            seen.append(late.phase)
            incoming.abort()

    async def main() -> None:
        async with serving(handler) as stage:
            _, writer = await asyncio.open_connection("127.0.0.1", stage.port, limit=1000)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            await until(lambda: seen)
            assert seen == ["write"]
            assert max(sizes) < 128 * 1024
            assert stage.counters.client_timeouts["write"] == 1
            # What was never taken does not hold the connection either.
            await until(lambda: stage.server.connections == 0)
            writer.transport.abort()
            await closed(writer)

    run(main)


def test_slow_but_steady_reader_is_kept() -> None:
    """A reader slower than the stream, but moving, gets all of it."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", 8_000_000)
        for _ in range(80):
            incoming.send(b"x" * 100_000)
            await incoming.drained()
        incoming.finish()

    async def main() -> None:
        limits = dataclasses.replace(QUICK, write_seconds=0.9)
        async with serving(handler, limits=limits) as stage:
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, limit=65536)
            writer.write(LAST)
            got = 0
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: 8000000" in head
            for _ in range(20):
                await asyncio.sleep(0.05)
                got += len(await reader.readexactly(400_000))
            assert got == 8_000_000
            await closed(writer)

    run(main)


def test_tail_that_is_never_read_is_dropped() -> None:
    """A finished answer that its client does not take does not keep the connection past idle and write limits."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", 20_000_000)
        incoming.send(b"x" * 20_000_000)
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            _, writer = await asyncio.open_connection("127.0.0.1", stage.port, limit=1000)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            await until(lambda: stage.counters.requests)
            await until(lambda: stage.server.connections == 0)
            assert stage.counters.client_timeouts == {"close": 1}
            writer.transport.abort()

    run(main)


@pytest.mark.parametrize("began", [False, True])
def test_handler_that_raises(began: bool) -> None:
    """An exception nobody expected is reported, answered with 500 where nothing was sent, and cuts the answer else."""

    async def handler(incoming: Incoming) -> None:
        if began:
            incoming.start(200, b"", None)
            incoming.send(b"part")
        raise ValueError("SECRET")

    async def main() -> None:
        async with serving(handler) as stage:
            got = await exchange(stage.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            if began:
                assert got.endswith(b"4\r\npart\r\n")
            else:
                assert answers(got)[0][0] == 500
            assert b"SECRET" not in got
            assert [repr(e) for e in stage.errors] == ["ValueError('SECRET')"]
            assert stage.counters.handler_errors == 1
            assert answers(await exchange(stage.port, b"GET http:/ HTTP/1.1\r\nHost: h\r\n\r\n"))[0][0] == 400

    run(main)


def test_handler_that_answers_nothing() -> None:
    """A handler that returns without an answer gets a 500 sent for it; one that forgets the end, its connection cut."""

    async def handler(incoming: Incoming) -> None:
        if incoming.path == "/begun":
            incoming.start(200, b"", None)
            incoming.send(b"x")

    async def main() -> None:
        async with serving(handler) as stage:
            assert answers(await exchange(stage.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"))[0][0] == 500
            got = await exchange(stage.port, b"GET /begun HTTP/1.1\r\nHost: h\r\n\r\n")
            assert got.endswith(b"1\r\nx\r\n")
            assert stage.counters.handler_errors == 2

    run(main)


def test_handler_may_refuse() -> None:
    """A BadMessage that leaves the handler is answered in the server's shape, and the connection closed."""

    async def handler(incoming: Incoming) -> None:
        raise BadMessage(418, "teapot", "tea")

    async def main() -> None:
        async with serving(handler) as stage:
            got = await exchange(stage.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert answers(got)[0][0] == 418
            assert stage.counters.handler_errors == 0

    run(main)


def test_refusal_reaches_a_client_that_still_sends() -> None:
    """A client in the middle of a large body reads the refusal, not a reset."""

    async def main() -> None:
        async with serving(limits=ServerLimits()) as stage:
            head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n"
            got = await exchange(stage.port, head, b"x" * 1_500_000, b"x" * 1_500_000, pause=0.05)
            ((status, headers, _),) = answers(got, "POST")
            assert (status, headers[b"connection"]) == (413, b"close")

    run(main)
