"""What the tests of this room share: a server with an echo handler, raw clients, and upstreams that write exact bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import h11
import uvloop

from gateway.wire.client import CallLimits, Origin, Outgoing, Pool
from gateway.wire.counters import WireCounters
from gateway.wire.deadlines import Sweeper
from gateway.wire.errors import BadMessage
from gateway.wire.exchange import Handler, Incoming
from gateway.wire.flow import run as flow
from gateway.wire.server import Server, ServerLimits

TICK = 0.02
QUICK = ServerLimits(head_seconds=0.3, body_seconds=0.3, idle_seconds=0.4, write_seconds=0.4)
OWN = frozenset({"own.test", "own.test:8080"})


def run(main: Callable[[], Coroutine[Any, Any, Any]], loop: str = "uvloop", timeout: float = 30) -> Any:
    """Run a test's coroutine on a fresh loop of the given kind."""

    async def bounded() -> Any:
        return await asyncio.wait_for(main(), timeout)

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(bounded())


@dataclass
class Asked:
    """One request as its handler saw it."""

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    fields: dict[bytes, bytes]
    body: bytes


@dataclass
class Stage:
    """A running server and what it saw."""

    server: Server
    port: int
    counters: WireCounters
    asked: list[Asked] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)


def refuse(bad: BadMessage, _path: str) -> tuple[int, bytes, bytes]:
    """A refusal's answer: code and reason as text."""
    return bad.status, b"content-type: text/plain\r\n", f"{bad.code} {bad.reason}".encode()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler | None = None, limits: ServerLimits = QUICK, tls: Any = None
) -> AsyncIterator[Stage]:
    """A server on a free port; without a handler it notes each request and answers `ok`."""
    asked: list[Asked] = []

    async def echo(incoming: Incoming) -> None:
        body = await incoming.body(1 << 20)
        asked.append(Asked(incoming.method, incoming.path, incoming.query, incoming.headers, incoming.fields, body))
        incoming.start(200, b"", 2)
        incoming.send(b"ok")
        incoming.finish()

    counters = WireCounters()
    server = Server(handler or echo, refuse, limits, counters, OWN, tls, Sweeper(TICK))
    stage = Stage(server, 0, counters, asked)
    server.on_error = stage.errors.append
    stage.port = await server.listen("127.0.0.1", 0)
    try:
        yield stage
    finally:
        await server.drain(0)
        assert server.connections == 0
        assert server.active == 0


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw client."""
    return await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)


async def exchange(port: int, *pieces: bytes, pause: float = 0) -> bytes:
    """Send pieces, and read until the server closes. It is read all along: a reset throws away what was not read before it."""
    reader, writer = await connect(port)
    got = bytearray()

    async def collect() -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 20):
                got.extend(piece)

    collecting = asyncio.create_task(collect())
    try:
        with contextlib.suppress(OSError, RuntimeError):
            for number, piece in enumerate(pieces):
                if number:
                    await asyncio.sleep(pause)
                if reader.at_eof() or writer.is_closing():
                    break
                writer.write(piece)
                await writer.drain()
        await asyncio.wait_for(collecting, 10)
        return bytes(got)
    finally:
        collecting.cancel()
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a raw client."""
    writer.close()
    with contextlib.suppress(OSError, RuntimeError):
        await writer.wait_closed()


async def until(condition: Callable[[], Any], seconds: float = 5) -> None:
    """Wait for something another coroutine brings about."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "did not happen in time"
        await asyncio.sleep(0.005)


def answers(data: bytes, *methods: str) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Read a connection's answers with h11, one per method asked; raises when they are not whole or not alone."""
    found = []
    client = h11.Connection(h11.CLIENT)
    client.receive_data(data)
    client.receive_data(b"")
    for method in methods or ("GET",):
        if client.our_state is h11.DONE:
            client.start_next_cycle()
        client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        body = b""
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                assert isinstance(event, h11.InformationalResponse), event
        found.append((head.status_code, dict(head.headers), body))
    assert client.trailing_data[0] == b"", client.trailing_data
    return found


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Upstream:
    """A running scripted upstream."""

    port: int
    connections: int = 0
    gone: int = 0


@contextlib.asynccontextmanager
async def upstream(script: Script, tls: Any = None) -> AsyncIterator[Upstream]:
    """An upstream that runs `script` on every connection and closes it when the script ends."""
    tasks: set[asyncio.Task[None]] = set()
    state = Upstream(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        state.connections += 1
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except RuntimeError:  # uvloop's word for a write to a connection that the other side has closed
            if not writer.transport.is_closing():
                raise
        finally:
            state.gone += 1
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=1 << 24)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next request an upstream gets."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while True:
            size = int(await reader.readline(), 16)
            body += await reader.readexactly(size)
            await reader.readexactly(2)
            if not size:
                return head, body
    if b"content-length:" in lower:
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        return head, await reader.readexactly(length)
    return head, b""


def replying(*replies: bytes) -> Script:
    """A script that answers each request of a connection with the next reply, then closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await read_request(reader)
            writer.write(reply)
            await writer.drain()

    return script


LIMITS = CallLimits(connect=1.0, first_byte=1.0, between_chunks=1.0, total=5.0)


@contextlib.asynccontextmanager
async def pool_to(port: int, size: int = 4, tls: Any = None, name: str = "") -> AsyncIterator[Pool]:
    """A pool to a local port; afterwards nothing of it is left."""
    sweeper = Sweeper(TICK)
    pool = Pool(Origin("127.0.0.1", port, tls, name), size, sweeper)
    try:
        yield pool
    finally:
        pool.close()
        await asyncio.sleep(0.01)
        assert pool.open == 0
        assert pool.idle == 0
        assert len(sweeper) == 0
        sweeper.close()


def post(body: bytes = b"") -> bytes:
    """The head of a POST to an upstream."""
    return b"POST /x HTTP/1.1\r\nhost: up.test\r\ncontent-length: %d\r\n\r\n" % len(body)


async def drink(out: Outgoing) -> bytes:
    """The whole body."""
    body = b""
    while piece := await out.chunk():
        body += piece
    return body


async def ask(pool: Pool, body: Any = b"", limits: CallLimits = LIMITS, method: str = "POST") -> tuple[Outgoing, bytes]:
    """One whole call, from asyncio code."""

    async def call() -> tuple[Outgoing, bytes]:
        head = post(body) if isinstance(body, bytes) else post().replace(b"content-length: 0", body.framing)
        out = await pool.call(head, body, limits, method)
        return out, await drink(out)

    return await flow(call())
