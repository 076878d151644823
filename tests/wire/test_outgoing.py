"""Reading an answer piece by piece: joining, ending, giving up."""

from __future__ import annotations

import asyncio

import pytest

from gateway.wire.client import CallLimits
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


HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def test_a_pump_hands_over_each_read_and_keeps_what_comes_after_a_stop() -> None:
    """Each read reaches the sink at once; after its False nothing does until the next call, and no byte is lost."""
    seen: list[object] = []

    async def main() -> None:
        pool, line, _ = made()
        pool._unused.clear()
        out = line.begin(b"H\r\n\r\n", b"", CallLimits(1, 1, 1, 9), "POST")

        def sink(data: bytes) -> bool:
            seen.append(data)
            return data != b"stop"

        line.data_received(HEAD + b"2\r\nab\r\n")
        first = flow(out.pump(sink))
        assert seen == [b"ab"]
        before = line.due
        line.loop.call_later(0.01, line.data_received, b"2\r\ncd\r\n")
        await asyncio.sleep(0.02)
        assert seen.pop() == b"cd"
        assert line.due > before
        line.data_received(b"4\r\nst")
        line.data_received(b"op\r\n4\r\nstop\r\n")
        assert seen == [b"ab", b"st", b"opstop"]
        assert not first.done()
        line.data_received(b"4\r\nstop\r\n")
        line.data_received(b"1\r\nx\r\n")
        line.data_received(b"1\r\ny\r\n")
        assert seen[3:] == [b"stop"]
        assert line.due == out._total
        assert await first is False
        second = flow(out.pump(sink))
        assert seen[4:] == [b"xy"]
        line.data_received(b"1\r\nz\r\n0\r\n\r\n")
        assert seen[5:] == [b"z"]
        assert await second is True
        assert out._sink is None
        assert pool.idle == 1
        pool.close()
        await asyncio.sleep(0)

    run(main)


def test_a_pump_raises_what_its_sink_raises_and_what_ends_the_answer() -> None:
    """A failing sink ends the call and closes the connection, as does a loss; neither reaches the event loop."""

    async def main() -> None:
        def refuse(data: bytes) -> bool:
            raise ValueError(data)

        for lost, expected in ((False, ValueError), (True, UpstreamLost)):
            pool, line, wires = made()
            pool._unused.clear()
            out = line.begin(b"H\r\n\r\n", b"", LIMITS, "POST")
            line.data_received(HEAD)
            pumped = flow(out.pump(refuse))
            if lost:
                line.connection_lost(None)
            else:
                line.data_received(b"1\r\nx\r\n")
            with pytest.raises(expected):
                await pumped
            assert wires.closed
            assert out._sink is None
            assert pool.open == 0

    run(main)
