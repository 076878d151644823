"""One upstream connection: what makes it usable again and what closes it, over sockets and without."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.wire.client import CallLimits, Origin, Pool
from gateway.wire.deadlines import Sweeper
from gateway.wire.errors import UpstreamBroken, UpstreamLost
from gateway.wire.line import Line

from .rig import ask, pool_to, read_request, run, until, upstream
from .test_fuzz import Wires

LIMITS = CallLimits(1, 1, 1, 1)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def made() -> tuple[Pool, Line, Wires]:
    """A pool with one connection over a transport that keeps what it is given."""
    pool = Pool(Origin("x", 1), 1, Sweeper())
    line = Line(pool, asyncio.get_running_loop())
    wires = Wires()
    line.connection_made(cast("asyncio.Transport", wires))
    pool._lines.add(line)
    pool.open += 1
    pool.give_back(line)
    return pool, line, wires


def test_head_and_body_leave_in_one_write() -> None:
    """A request is one write, and a large body is not copied into it."""

    async def main() -> None:
        pool, line, wires = made()
        writes: list[Any] = []
        wires.write = writes.append  # type: ignore[method-assign]
        wires.writelines = writes.append  # type: ignore[method-assign]
        line.begin(b"H\r\n\r\n", b"body", LIMITS, "POST")
        await asyncio.sleep(0)  # a short request leaves at the end of the loop's turn
        big = b"x" * 100_000
        line.begin(b"H\r\n\r\n", big, LIMITS, "POST")
        assert writes[0] == b"H\r\n\r\nbody"
        assert writes[1][1] is big
        pool.close()

    run(main)


@pytest.mark.parametrize("after", [b"", b"x"])
def test_the_end_decides_about_reuse(after: bytes) -> None:
    """Exactly the answer and not a byte more makes the connection usable again."""

    async def main() -> None:
        pool, line, wires = made()
        pool._unused.clear()
        out = line.begin(b"H\r\n\r\n", b"", LIMITS, "POST")
        line.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + after)
        assert out.whole
        assert line.lost is bool(after)
        assert wires.closed is bool(after)
        assert pool.idle == (0 if after else 1)
        pool.close()

    run(main)


def test_drop_is_final() -> None:
    """A dropped connection leaves the pool once, fails its call once, and is never given out."""

    async def main() -> None:
        pool, line, _ = made()
        pool._unused.clear()
        out = line.begin(b"H\r\n\r\n", b"", LIMITS, "POST")
        line.drop()
        line.drop()
        line.connection_lost(None)
        assert pool.open == 0
        assert line.lost
        with pytest.raises(UpstreamLost):
            out.head()

    run(main)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    ("reply", "method", "body", "kept"),
    [
        (OK, "POST", b"ok", 1),
        (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", "POST", b"ok", 1),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", "POST", b"ok", 0),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "POST", b"ok", 0),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "POST", b"ok", 1),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1;a=b\r\nk\r\n0\r\nX: y\r\n\r\n",
            "POST",
            b"ok",
            1,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nok", "POST", b"ok", 0),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", "HEAD", b"", 1),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HEAD", b"", 1),
        (b"HTTP/1.1 200 OK\r\n\r\n", "HEAD", b"", 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "POST", b"", 1),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", "GET", b"", 1),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + OK, "POST", b"ok", 1),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "POST", b"", 1),
        (OK + b"HTTP/1.1 200 OK\r\n", "POST", b"ok", 0),
        (OK + b"\n", "POST", b"ok", 0),
        (b"HTTP/1.1 204 No Content\r\n\r\nx", "POST", b"", 0),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP", "POST", b"ok", 0),
    ],
)
def test_answers_by_framing(loop: str, reply: bytes, method: str, body: bytes, kept: int) -> None:
    """Each way of framing an answer gives its body and nothing else, and only a connection that ended exactly there is
    used again; whole or byte by byte."""

    async def main() -> None:
        for size in (len(reply), 1):

            async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int = size) -> None:
                await read_request(reader)
                for n in range(0, len(reply), size):
                    writer.write(reply[n : n + size])
                    await asyncio.sleep(0)
                if kept:
                    await reader.read()

            async with upstream(script) as up, pool_to(up.port) as pool:
                out, got = await ask(pool, method=method)
                assert got == body
                assert out.whole
                assert not out.reused
                if size > 1 or kept:
                    assert pool.idle == kept

    run(main, loop)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "framing"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", "framing"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 3\r\n\r\nok", "framing"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", "framing"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", "framing"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "framing"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nok", "framing"),
        (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "framing"),
        (b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok", "syntax"),
        (b"HTTP/1.1 200 OK\r\nx: a\nb: c\r\ncontent-length: 2\r\n\r\nok", "syntax"),
        (b"HTTP/1.1 200 OK\r\nx: a\x00\r\ncontent-length: 2\r\n\r\nok", "syntax"),
        (b"HTTP/1.1 200 OK\r\nx y: a\r\n\r\n", "syntax"),
        (b"HTTP/1.1 999 OK\r\n\r\n", "syntax"),
        (b"HTTP/2 200 OK\r\n\r\n", "version"),
        (b"ICY 200 OK\r\n", "version"),
        (b"\x15\x03\x01", "version"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: %b\r\n" % (b"a" * 999) * 80, "head_size"),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(300)) + b"\r\n", "head_size"),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", "upgrade"),
        (b"HTTP/1.1 103 Hints\r\n\r\n" * 40, "informational"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\n", "chunk"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "chunk"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nok\r\n", "chunk"),
    ],
)
def test_d5_broken_answers(reply: bytes, reason: str) -> None:
    """An answer two parsers could read differently, a flood of 1xx or an upgrade is UpstreamBroken, and the connection
    is closed."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(reply)
        await reader.read()

    async def main() -> None:
        async with upstream(script) as up, pool_to(up.port) as pool:
            with pytest.raises(UpstreamBroken) as caught:
                await ask(pool)
            assert caught.value.reason == reason
            assert pool.open == 0
            await until(lambda: up.gone == 1)

    run(main)
