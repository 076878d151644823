"""The pool against upstreams that write exact bytes: framing, reuse, losses, deadlines, TLS, backpressure."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.wire.client import CallLimits, Origin, Pool
from gateway.wire.deadlines import Sweeper
from gateway.wire.errors import ConnectFailed, DeadlineExceeded, UpstreamBroken, UpstreamLost, WireError
from gateway.wire.flow import Flow, waiting_for
from gateway.wire.flow import run as flow
from gateway.wire.tls import client_context, listener_context
from tests.ports import free_port

from .rig import LIMITS, ask, drink, pool_to, post, read_request, replying, run, until, upstream

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("reply", "began"),
    [
        (b"", False),
        (b"HTTP/1.1 200", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", True),
    ],
)
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_d7_cut_answers(reply: bytes, began: bool, loop: str) -> None:
    """An answer that ends before its framing says so is UpstreamLost, after what came of it was readable."""

    async def main() -> None:
        async with upstream(replying(reply)) as up, pool_to(up.port) as pool:
            got: list[bytes] = []

            async def call() -> None:
                out = await pool.call(post(), b"", LIMITS)
                while piece := await out.chunk():
                    got.append(piece)

            with pytest.raises(UpstreamLost) as caught:
                await flow(call())
            assert caught.value.began is began
            assert caught.value.sent
            assert b"".join(got) == (b"ok" if began else b"")

    run(main, loop)


def test_d8_dropped_at_the_moment_of_sending() -> None:
    """A kept connection that the upstream drops as a POST arrives is a loss with `sent`, and nothing is sent again; one
    known to be closed is skipped."""

    async def main() -> None:
        async with upstream(replying(OK, b"")) as up, pool_to(up.port) as pool:
            out, _ = await ask(pool)
            with pytest.raises(UpstreamLost) as caught:
                await ask(pool)
            assert (caught.value.sent, caught.value.began) == (True, False)
            assert up.connections == 1
        async with upstream(replying(OK)) as up, pool_to(up.port) as pool:
            await ask(pool)
            await until(lambda: pool.idle == 0)
            out, _ = await ask(pool)
            assert not out.reused
            assert up.connections == 2

    run(main)


def test_reuse_and_headers() -> None:
    """A kept connection is used again; hop-by-hop and named fields are dropped, repeated ones kept in order."""
    reply = (
        b"HTTP/1.1 200 Fine Thanks\r\nSet-Cookie: a\r\nset-cookie: b\r\nX-A: 1\r\nConnection: x-a, keep-alive\r\n"
        b"Keep-Alive: 5\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n"
    )

    async def main() -> None:
        async with upstream(replying(*[reply] * 3)) as up, pool_to(up.port) as pool:
            for n in range(3):
                out, _ = await ask(pool)
                assert out.reused is (n > 0)
                assert out.reason == b"Fine Thanks"
                assert out.headers == [(b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"X-B", b"2")]
                assert out.fields == {b"set-cookie": b"a", b"x-b": b"2"}
            assert up.connections == 1

    run(main)


def test_unasked_bytes_close_an_idle_connection() -> None:
    """Bytes that nobody asked for are never read as the next answer."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:
            await ask(pool)
            await until(lambda: pool.open == 0)
            assert (await ask(pool))[1] == b"ok"

    run(main)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _head_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
    await reader.read()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.03)


@pytest.mark.parametrize(
    ("script", "limits", "phase"),
    [
        (_silent, CallLimits(1, 0.2, 1, 5), "first_byte"),
        (_silent, CallLimits(1, 0, 0, 0.2), "total"),
        (_head_only, CallLimits(1, 1, 0.2, 5), "between_chunks"),
        (_drip, CallLimits(1, 1, 0.2, 0.3), "total"),
    ],
)
def test_d6_deadlines(script: Any, limits: CallLimits, phase: str) -> None:
    """Silence before the head, between pieces and over all ends at its own limit, and the upstream sees the close."""

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:
            begun = asyncio.get_running_loop().time()
            with pytest.raises(DeadlineExceeded) as caught:
                await ask(pool, limits=limits)
            assert caught.value.phase == phase
            assert 0.18 < asyncio.get_running_loop().time() - begun < 0.6
            await until(lambda: up.gone == 1)

    run(main)


def test_d1_connect_failures() -> None:
    """Refused, unknown name and a full listener are told apart, and nothing was sent."""

    async def main() -> None:
        async with pool_to(free_port()) as pool:
            with pytest.raises(ConnectFailed) as caught:
                await ask(pool)
            assert caught.value.kind == "refused"
        sweeper = Sweeper(0.02)
        pool = Pool(Origin("no-such-host.invalid", 80), 1, sweeper)
        with pytest.raises(ConnectFailed) as caught:
            await ask(pool)
        assert caught.value.kind == "dns"
        pool.close()
        sweeper.close()

    run(main)


def test_pool_is_bounded_and_fair() -> None:
    """No more than `size` connections are open; calls beyond wait in order for a slot, and not longer than `connect`."""
    order: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await asyncio.sleep(0.01)
            writer.write(OK)

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port, size=2) as pool:

            async def one(number: int) -> None:
                await ask(pool)
                order.append(number)

            await asyncio.gather(*(one(n) for n in range(12)))
            assert sorted(order) == list(range(12))
            assert max(abs(a - b) for a, b in enumerate(order)) <= 1
            assert up.connections == 2
            assert (pool.open, pool.idle) == (2, 2)
        async with upstream(_silent) as up, pool_to(up.port, size=1) as pool:
            holder = asyncio.get_running_loop().create_task(ask(pool))
            await until(lambda: up.connections)
            with pytest.raises(DeadlineExceeded) as caught:
                await ask(pool, limits=CallLimits(0.1, 1, 1, 1))
            assert caught.value.phase == "connect"
            holder.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holder
            await until(lambda: up.gone)

    run(main)


def test_slot_of_a_lost_connection_is_used_again() -> None:
    """Callers that wait while the only connection dies get a new one."""

    async def main() -> None:
        async with upstream(replying(OK)) as up, pool_to(up.port, size=1) as pool:
            results = await asyncio.gather(*(ask(pool) for _ in range(3)), return_exceptions=True)
            assert [isinstance(r, tuple | UpstreamLost) for r in results] == [True] * 3
            assert isinstance(results[0], tuple)
            assert (await ask(pool))[1] == b"ok"

    run(main)


class Pieces:
    """A body stream from a list."""

    def __init__(self, *pieces: bytes, length: int | None) -> None:
        self.pieces = list(pieces)
        self.length = length
        self.framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length

    async def chunk(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@pytest.mark.parametrize("length", [None, 9])
def test_streamed_request_body(length: int | None) -> None:
    """A body stream arrives with the framing its head announced, and the connection is kept."""
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await read_request(reader))[1])
        writer.write(OK)
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:
            assert (await ask(pool, Pieces(b"abc", b"defghi", length=length)))[1] == b"ok"
            assert seen == [b"abcdefghi"]
            assert pool.idle == 1

    run(main)


@pytest.mark.parametrize("pieces", [(b"abc",), (b"abcdef", b"ghijkl")])
def test_body_stream_that_breaks_its_length(pieces: tuple[bytes, ...]) -> None:
    """A stream shorter or longer than its length never becomes a request that looks whole."""

    async def main() -> None:
        async with upstream(_silent) as up, pool_to(up.port) as pool:
            with pytest.raises(UpstreamBroken) as caught:
                await ask(pool, Pieces(*pieces, length=9))
            assert caught.value.reason == "upload"
            await until(lambda: up.gone == 1)

    run(main)


def test_answer_before_the_body_was_sent() -> None:
    """An answer that comes early ends the upload; it is readable, and the connection is not used again."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await reader.read()

    class Endless(Pieces):
        async def chunk(self) -> bytes:
            await waiting_for(asyncio.get_running_loop().create_task(asyncio.sleep(0.01)))
            return b"x" * 1000

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:
            out, body = await ask(pool, Endless(length=None))
            assert (out.status, body) == (413, b"big")
            assert pool.open == 0

    run(main)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_slow_consumer_pauses_the_upstream(loop: str) -> None:
    """A reader that falls behind stops the upstream at a bound, then gets every byte."""
    written = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 30000000\r\n\r\n")
        for _ in range(300):
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:
            out = await flow(pool.call(post(), b"", LIMITS))
            await asyncio.sleep(0.2)
            assert out._size < 1_000_000
            assert written < 20_000_000
            assert len(await flow(drink(out))) == 30_000_000
            assert pool.idle == 1

    run(main, loop)


def test_slow_upstream_pauses_the_upload() -> None:
    """An upstream that does not read stops the body stream; past the first-byte limit the call ends."""
    asked = 0

    class Endless(Pieces):
        async def chunk(self) -> bytes:
            nonlocal asked
            asked += 1
            return b"x" * 100_000

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await asyncio.sleep(5)

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:
            with pytest.raises(WireError):
                await ask(pool, Endless(length=None), CallLimits(1, 0.3, 1, 5))
            assert asked < 200

    run(main)


@pytest.mark.parametrize("window", ["head", "stream"])
def test_interrupted_flow_closes_the_upstream(window: str) -> None:
    """An error thrown into the waiting flow closes the connection at once, before and after the head."""

    async def main() -> None:
        script = _silent if window == "head" else _head_only
        async with upstream(script) as up, pool_to(up.port) as pool:
            ended: list[BaseException | None] = []

            async def call() -> None:
                await drink(await pool.call(post(), b"", LIMITS))

            running = Flow(call(), ended.append)
            running.start()
            await until(lambda: up.connections)
            await asyncio.sleep(0.05)
            running.interrupt(UpstreamBroken("test"))
            assert isinstance(ended[0], UpstreamBroken)
            assert pool.open == 0
            await until(lambda: up.gone == 1, 0.2)

    run(main)


def test_idle_connections_age_out() -> None:
    """A connection nobody used for a while is closed by us, before its upstream does it during a call."""

    async def main() -> None:
        async with upstream(replying(OK, OK)) as up:
            sweeper = Sweeper(0.02)
            pool = Pool(Origin("127.0.0.1", up.port), 2, sweeper, idle_seconds=0.1)
            await ask(pool)
            assert pool.idle == 1
            await until(lambda: pool.open == 0, 1)
            await until(lambda: up.gone == 1)
            assert len(sweeper) == 0
            sweeper.close()

    run(main)


def test_closed_pool() -> None:
    """Closing fails calls at hand and waiting ones, and later ones at once."""

    async def main() -> None:
        async with upstream(_silent) as up:
            sweeper = Sweeper(0.02)
            pool = Pool(Origin("127.0.0.1", up.port), 1, sweeper)
            calls = [asyncio.get_running_loop().create_task(ask(pool)) for _ in range(2)]
            await until(lambda: up.connections)
            await asyncio.sleep(0.02)
            pool.close()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(r) for r in results] == [UpstreamLost, ConnectFailed]
            with pytest.raises(ConnectFailed):
                await ask(pool)
            sweeper.close()

    run(main)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_tls_upstream(loop: str, certificate: tuple[Path, Path]) -> None:
    """A certificate from a believed authority for the right name is spoken to; a wrong name, and an unknown authority,
    are ConnectFailed tls."""
    chain, key = certificate

    async def main() -> None:
        listener = listener_context(str(chain), str(key))
        believed = client_context(str(chain))
        async with upstream(replying(OK), listener) as up:
            async with pool_to(up.port, tls=believed, name="up.test") as pool:
                assert (await ask(pool))[1] == b"ok"
            for context, name in ((believed, "other.test"), (client_context(), "up.test")):
                async with pool_to(up.port, tls=context, name=name) as pool:
                    with pytest.raises(ConnectFailed) as caught:
                        await ask(pool)
                    assert caught.value.kind == "tls"
        assert believed.verify_mode is ssl.CERT_REQUIRED
        assert believed.check_hostname

    run(main, loop)
