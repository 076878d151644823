"""Reading an answer piece by piece: joining, ending, giving up."""

from __future__ import annotations

import asyncio

import pytest

from gateway.wire.errors import UpstreamLost
from gateway.wire.flow import Flow
from gateway.wire.flow import run as flow

from .rig import run
from .test_line import LIMITS, made


def test_pieces_are_joined_and_then_handed_over() -> None:
    """What came while nobody asked is one piece; afterwards each socket read is one; the end is b"" for ever."""
    seen: list[object] = []

    async def main() -> None:
        pool, line, _ = made()
        pool._unused.clear()
        out = line.begin(b"H\r\n\r\n", b"", LIMITS, "POST")

        async def read() -> None:
            while piece := await out.chunk():
                seen.append(piece)
            seen.append(await out.chunk())

        line.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
        line.data_received(b"2\r\ncd\r\n")
        Flow(read(), seen.append).start()
        assert seen == [b"abcd"]
        line.data_received(b"1\r\ne\r\n1\r\nf\r\n")
        line.data_received(b"3\r\ng")
        line.data_received(b"hi\r\n0\r\n\r\n")
        assert seen == [b"abcd", b"ef", b"g", b"hi", b"", None]
        assert pool.idle == 1
        out.abort()
        assert pool.idle == 1
        pool.close()
        await asyncio.sleep(0)

    run(main)


def test_abort() -> None:
    """After an abort the connection is closed, what was received is still readable, and then the reader is told."""

    async def main() -> None:
        pool, line, wires = made()
        pool._unused.clear()
        out = line.begin(b"H\r\n\r\n", b"", LIMITS, "POST")
        line.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
        out.abort()
        out.abort()
        assert wires.closed
        assert pool.open == 0
        assert await flow(out.chunk()) == b"ab"
        with pytest.raises(UpstreamLost) as caught:
            await flow(out.chunk())
        assert caught.value.began

    run(main)
