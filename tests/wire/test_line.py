"""One upstream connection, driven without a network: what makes it usable again and what closes it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.wire.client import CallLimits, Origin, Pool
from gateway.wire.deadlines import Sweeper
from gateway.wire.errors import UpstreamLost
from gateway.wire.line import Line

from .rig import run
from .test_fuzz import Wires

LIMITS = CallLimits(1, 1, 1, 1)


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
        assert not line.usable()
        with pytest.raises(UpstreamLost):
            out.head()

    run(main)
