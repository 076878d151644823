"""The outbox: short writes leave together, in order, and never after their connection."""

from __future__ import annotations

import asyncio

import pytest

from gateway.wire.exchange import Incoming
from gateway.wire.outbox import Outbox

from .rig import answers, connect, exchange, run, serving
from .test_line import LIMITS, made

GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"


class Noted:
    """A holder that notes its release."""

    def __init__(self, name: str, into: list[str]) -> None:
        self.name = name
        self.into = into

    def release(self) -> None:
        self.into.append(self.name)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_holders_are_released_once_at_the_end_of_the_turn(loop: str) -> None:
    """Nobody is released before the turn ends, everybody then, in the order they came; the next turn starts anew."""

    async def main() -> None:
        outbox, released = Outbox(), list[str]()
        outbox.add(Noted("a", released))
        outbox.add(Noted("b", released))
        assert not released
        await asyncio.sleep(0)
        assert released == ["a", "b"]
        outbox.add(Noted("c", released))
        await asyncio.sleep(0)
        assert released == ["a", "b", "c"]

    run(main, loop)


def test_a_request_given_up_in_its_turn_is_not_sent() -> None:
    """A connection that is dropped before the turn ends writes nothing more."""

    async def main() -> None:
        _, line, wires = made()
        writes: list[bytes] = []
        wires.write = writes.append  # type: ignore[assignment,method-assign]
        out = line.begin(b"H\r\n\r\n", b"body", LIMITS, "POST")
        out.abort()
        await asyncio.sleep(0)
        assert not writes

    run(main)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_answers_of_one_turn_keep_their_order(loop: str) -> None:
    """Held, streamed and large answers to requests that came in one piece leave in the order of the requests."""

    async def handler(incoming: Incoming) -> None:
        number = int(incoming.path[1:])
        body = b"%d." % number * (10_000 if number % 3 == 2 else 1)
        incoming.start(200, b"", None if number % 3 == 1 else len(body))
        incoming.send(body)
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            last = (GET % 12).replace(b"h\r\n\r\n", b"h\r\nConnection: close\r\n\r\n")
            got = await exchange(stage.port, b"".join(GET % number for number in range(12)) + last)
            told = [body.partition(b".")[0] for _, _, body in answers(got, *["GET"] * 13)]
            assert told == [b"%d" % number for number in range(13)]

    run(main, loop)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_client_that_asks_and_hangs_up_its_end_gets_the_answer_of_that_turn(loop: str) -> None:
    """A held answer leaves before the connection closes because the client will send no more."""

    async def handler(incoming: Incoming) -> None:
        incoming.start(200, b"", 2)
        incoming.send(b"ok")
        incoming.finish()

    async def main() -> None:
        async with serving(handler) as stage:
            for _ in range(20):
                reader, writer = await connect(stage.port)
                writer.write(GET % 1)
                writer.write_eof()
                got = await reader.read()
                writer.close()
                assert got.endswith(b"ok")

    run(main, loop)
