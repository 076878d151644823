"""The server as a whole: caps, draining, TLS, and both sides joined into a proxy."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.wire.client import CallLimits, Pool
from gateway.wire.errors import ClientGone, Draining
from gateway.wire.exchange import Incoming
from gateway.wire.flow import Wait
from gateway.wire.server import ServerLimits
from gateway.wire.tls import listener_context

from .rig import (
    LIMITS,
    QUICK,
    answers,
    closed,
    connect,
    exchange,
    pool_to,
    read_request,
    replying,
    run,
    serving,
    until,
    upstream,
)

LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def test_g6_connection_cap() -> None:
    """Over the cap a client gets a whole 503 before anything is read, far beyond it is dropped; below it, it is served
    again."""

    async def main() -> None:
        async with serving(limits=dataclasses.replace(QUICK, connections=5, idle_seconds=5, head_seconds=5)) as stage:
            held = [await connect(stage.port) for _ in range(5)]
            await until(lambda: stage.server.connections == 5)
            for _ in range(3):
                assert answers(await exchange(stage.port))[0][0] == 503
            assert answers(await exchange(stage.port, LAST))[0][0] == 503
            assert stage.counters.rejected == {"connections": 4}
            flood = [await connect(stage.port) for _ in range(40)]
            await asyncio.sleep(0.05)
            assert stage.server.connections <= 5 * 5 // 4 + 8 + 1
            for _, writer in held + flood:
                await closed(writer)
            await until(lambda: stage.server.connections == 0)
            assert answers(await exchange(stage.port, LAST))[0][0] == 200

    run(main)


def test_g4_drain() -> None:
    """A drain refuses new connections, closes idle ones, lets answers end within the grace and tells their clients,
    then interrupts what is left, which may still say so; nothing remains."""
    seen: list[str] = []

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", None)
        incoming.send(b"begun;")
        wait: Wait[None] = Wait()
        if incoming.path == "/short":
            asyncio.get_running_loop().call_later(0.15, wait.done, None)
        try:
            await wait
        except Draining:
            seen.append(incoming.path)
            incoming.send(b"cut;")
            incoming.abort()
            raise
        incoming.finish()

    async def main() -> None:
        async with serving(handler, limits=ServerLimits()) as stage:
            idle, partial, short, endless = [await connect(stage.port) for _ in range(4)]
            partial[1].write(b"GET /x HT")
            short[1].write(b"GET /short HTTP/1.1\r\nHost: h\r\n\r\n")
            endless[1].write(b"GET /long HTTP/1.1\r\nHost: h\r\n\r\n")
            await until(lambda: stage.server.active == 2)
            begun = asyncio.get_running_loop().time()
            draining = asyncio.get_running_loop().create_task(stage.server.drain(0.4))
            assert await idle[0].read() == b""
            assert await partial[0].read() == b""
            with pytest.raises(OSError):
                await connect(stage.port)
            assert answers(await short[0].read())[0][2] == b"begun;"
            assert (await endless[0].read()).endswith(b"4\r\ncut;\r\n")
            await draining
            assert 0.3 < asyncio.get_running_loop().time() - begun < 1.0
            assert seen == ["/long"]
            assert stage.counters.handler_errors == 0
            for _, writer in (idle, partial, short, endless):
                await closed(writer)

    run(main)


def test_g5_whoever_was_let_in_before_a_drain_is_answered() -> None:
    """Clients that the system has accepted and nobody has looked at yet, and one that is connected and has asked nothing, get their
    answer; nobody after them is let in, and nobody keeps the drain waiting without asking."""

    async def main() -> None:
        async with serving() as stage:
            fresh = await connect(stage.port)
            silent = await connect(stage.port)
            await until(lambda: stage.server.connections == 2)
            waiting = [socket.create_connection(("127.0.0.1", stage.port)) for _ in range(20)]
            for client in waiting:
                client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                client.settimeout(0)
            begun = asyncio.get_running_loop().time()
            draining = asyncio.get_running_loop().create_task(stage.server.drain(2))
            await asyncio.sleep(0.05)
            with pytest.raises(OSError):
                await connect(stage.port)
            fresh[1].write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            for reader, writer in [fresh, *[await asyncio.open_connection(sock=client) for client in waiting]]:
                status, headers, body = answers(await reader.read())[0]
                assert (status, headers[b"connection"], body) == (200, b"close", b"ok")
                await closed(writer)
            assert await silent[0].read() == b""
            await closed(silent[1])
            await draining
            assert asyncio.get_running_loop().time() - begun < 1.0

    run(main)


def test_answers_during_a_drain_say_close() -> None:
    """A request at hand when the drain begins is answered with `connection: close`."""
    wait: Wait[None] = Wait()

    async def handler(incoming: Incoming) -> None:
        await wait
        incoming.start(200, b"", 0)
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            reader, writer = await connect(stage.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            await until(lambda: stage.server.active)
            draining = asyncio.get_running_loop().create_task(stage.server.drain(2))
            await asyncio.sleep(0.02)
            wait.done(None)
            assert answers(await reader.read())[0][1][b"connection"] == b"close"
            await draining
            await closed(writer)

    run(main)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_tls_listener(loop: str, certificate: tuple[Path, Path]) -> None:
    """Over TLS requests are answered, refusals too, and a client that leaves is noticed."""

    async def main() -> None:
        chain, key = certificate
        trust = ssl.create_default_context(cafile=str(chain))
        async with serving(tls=listener_context(str(chain), str(key))) as stage:
            for request, status in ((LAST, 200), (b"GET /../x HTTP/1.1\r\nHost: h\r\n\r\n", 400)):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", stage.port, ssl=trust, server_hostname="up.test"
                )
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                assert int(head.split()[1]) == status
                await closed(writer)
            await until(lambda: stage.server.connections == 0)

    run(main, loop)


def relay_through(pool: Pool, limits: CallLimits = LIMITS, seen: list[Any] | None = None) -> Any:
    """A bare proxy handler."""

    async def handler(incoming: Incoming) -> None:
        out = None
        try:
            body = await incoming.body(1 << 24)
            head = b"%b %b HTTP/1.1\r\nhost: up\r\ncontent-length: %d\r\n\r\n" % (
                incoming.method.encode(),
                incoming.target,
                len(body),
            )
            out = await pool.call(head, body, limits, incoming.method)
            lines = b"".join(b"%b: %b\r\n" % pair for pair in out.headers)
            incoming.start(out.status, lines, out.length)
            while piece := await out.chunk():
                incoming.send(piece)
                await incoming.drained()
            incoming.finish()
        except BaseException as error:
            if seen is not None:
                seen.append(error)
            if out is not None:
                out.abort()
            if incoming.began:
                incoming.abort()
            raise

    return handler


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_proxy_relays_every_framing(loop: str) -> None:
    """Answers of every framing come out whole, in few writes, and both connections are kept where they may be."""
    big = bytes(range(256)) * 4000
    replies = [
        b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(big), big),
        b"HTTP/1.1 404 Not Found\r\n\r\nuntil the end",
    ]

    async def main() -> None:
        async with upstream(replying(*replies)) as up, pool_to(up.port) as pool, serving(relay_through(pool)) as stage:
            data = b"".join(b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" % n for n in range(4))
            got = answers(await exchange(stage.port, data + LAST), *["POST"] * 4, "GET")
            assert [(s, b) for s, _, b in got] == [
                (200, b"ok"),
                (200, b"abcde"),
                (204, b""),
                (200, big),
                (404, b"until the end"),
            ]
            assert up.connections == 1
            assert stage.counters.accepted == 1

    run(main, loop)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("window", ["before", "stream", "body"])
def test_e5_client_gone_cancels_upstream(loop: str, window: str) -> None:
    """When the client leaves before the head, in mid-stream or during a plain body, the upstream sees the close at once."""
    sent = {
        "before": b"",
        "stream": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "body": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
    }[window]
    reached = asyncio.Event()
    seen: list[Any] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)
        reached.set()
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool, serving(relay_through(pool, seen=seen)) as stage:
            reader, writer = await connect(stage.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
            await reached.wait()
            if sent:
                await reader.readuntil(b"ok")
            begun = asyncio.get_running_loop().time()
            writer.close()
            await until(lambda: up.gone == 1)
            assert asyncio.get_running_loop().time() - begun < 0.2
            assert isinstance(seen[0], ClientGone)
            assert seen[0].phase == ("stream" if sent else "wait")
            await closed(writer)

    run(main, loop)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    "framing", [b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", b"content-length: 9\r\n\r\nhello"]
)
def test_e1_upstream_cut_is_not_a_clean_end(loop: str, framing: bytes) -> None:
    """When the upstream is cut, the client gets what came and a connection that closes without the regular end."""

    async def main() -> None:
        async with (
            upstream(replying(b"HTTP/1.1 200 OK\r\n" + framing)) as up,
            pool_to(up.port) as pool,
            serving(relay_through(pool)) as stage,
        ):
            got = await exchange(stage.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert b"hello" in got
            assert not got.endswith(b"0\r\n\r\n")
            with pytest.raises(Exception):  # noqa: B017 - h11 calls it a remote protocol error
                answers(got)

    run(main, loop)


def test_e6_slow_reader_throttles_the_upstream() -> None:
    """With a reader that stops, the upstream is stopped as well and memory stays bounded; then all bytes come."""
    written = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 40000000\r\n\r\n")
        for _ in range(400):
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000
        await reader.read()

    async def main() -> None:
        async with (
            upstream(script) as up,
            pool_to(up.port) as pool,
            serving(relay_through(pool), limits=ServerLimits()) as stage,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, limit=65536)
            writer.write(LAST)
            await until(lambda: written)
            await asyncio.sleep(0.2)
            seen = written
            assert seen < 30_000_000
            await asyncio.sleep(0.1)
            assert written == seen
            body = (await reader.readuntil(b"\r\n\r\n"), await reader.read())[1]
            assert len(body) == 40_000_000 or len(body) + len(await reader.read()) == 40_000_000
            await closed(writer)

    run(main)


def test_streamed_upload_with_backpressure() -> None:
    """A body handed on piece by piece keeps its bytes, and a stopped upstream stops the client."""
    hold = asyncio.Event()
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 30000000" in head
        writer.transport.pause_reading()
        await hold.wait()
        writer.transport.resume_reading()
        got.append(await reader.readexactly(30_000_000))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:

            async def handler(incoming: Incoming) -> None:
                head = b"POST / HTTP/1.1\r\nhost: up\r\ncontent-length: %d\r\n\r\n" % (incoming.length or 0)
                out = await pool.call(head, incoming, CallLimits(1, 5, 5, 20))
                incoming.start(out.status, b"", out.length)
                incoming.send(await out.chunk())
                incoming.finish()

            async with serving(handler, limits=ServerLimits()) as stage:
                reader, writer = await connect(stage.port)
                body = bytes(range(250)) * 120_000
                writer.write(
                    b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 30000000\r\n\r\n" + body
                )
                await asyncio.sleep(0.2)
                assert writer.transport.get_write_buffer_size() > 5_000_000
                hold.set()
                assert answers(await reader.read(), "POST")[0][0] == 200
                assert got == [body]
                await closed(writer)

    run(main)


def test_e9_random_cuts_leave_nothing_behind() -> None:
    """After streams cut at random on both sides no connection, flow or task is left, and the sums agree."""
    dice = random.Random(7)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(5):
                if dice.random() < 0.05:
                    return
                writer.write(b"5\r\nhello\r\n")
                await asyncio.sleep(0.002)
            writer.write(b"0\r\n\r\n")

    async def main() -> None:
        before = len(asyncio.all_tasks())
        async with upstream(script) as up, pool_to(up.port, size=40) as pool, serving(relay_through(pool)) as stage:

            async def client() -> None:
                reader, writer = await connect(stage.port)
                writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                if dice.random() < 0.4:
                    await asyncio.sleep(dice.random() * 0.02)
                    writer.transport.abort()
                else:
                    with_end = LAST
                    writer.write(with_end)
                    await reader.read()
                await closed(writer)

            await asyncio.gather(*(client() for _ in range(200)))
            await until(lambda: stage.server.active == 0 and stage.server.connections == 0)
            assert [e for e in stage.errors if not isinstance(e, ClientGone)] == []
            assert pool.open <= 40
            assert pool.open == pool.idle
        await until(lambda: len(asyncio.all_tasks()) <= before)

    run(main)
