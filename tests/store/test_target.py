"""Addresses of the store are read without surprises, and the primary is asked of the Sentinels."""

from __future__ import annotations

import asyncio

import pytest

from gateway.settings.model import SentinelSettings, StoreSettings
from gateway.store.resp import Parser
from gateway.store.target import Finder, NoTarget, Target, parse

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://", Target("localhost")),
        ("redis://h:1/3", Target("h", 1, db=3)),
        ("redis://:p%40ss@h", Target("h", password="p@ss")),
        ("rediss://me:secret@h:7000/0", Target("h", 7000, tls=True, user="me", password="secret")),
        ("redis://[::1]:6380", Target("::1", 6380)),
        ("unix:///run/redis.sock?db=2", Target(path="/run/redis.sock", db=2)),
        ("unix://me:pw@/run/redis.sock", Target(path="/run/redis.sock", user="me", password="pw")),
    ],
)
def test_urls(url: str, target: Target) -> None:
    """User, password, database, TLS and sockets are read as redis-py reads them."""
    assert parse(url) == target


@pytest.mark.parametrize("url", ["http://secret@h", "redis://h/secret", "unix://", "secret"])
def test_bad_urls_do_not_leak(url: str) -> None:
    """What is no address is refused without repeating it: it may hold a password."""
    with pytest.raises(ValueError) as failed:
        parse(url)
    assert "secret" not in str(failed.value)
    with pytest.raises(ValueError):
        Finder(StoreSettings(redis=url))


async def test_embedded_store_that_is_not_running(tmp_path: object) -> None:
    """An embedded store that was not started yet is nowhere, and that is no crash."""
    with pytest.raises(NoTarget):
        await Finder(StoreSettings(data_dir=str(tmp_path))).find()


class FakeSentinel:
    """Answers GET-MASTER-ADDR-BY-NAME as told; a protocol peer, because the look-up is ours."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (command,) = Parser().feed(await reader.read(1000))
        assert command == [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"main"]
        self.asked += 1
        writer.write(self.answer)
        writer.close()


async def test_sentinels_are_asked_until_one_knows() -> None:
    """A dead sentinel and one that knows nothing are passed over; the one that knew is asked first next time."""
    sentinels = [FakeSentinel(b"*-1\r\n"), FakeSentinel(b"*2\r\n$9\r\n10.0.0.99\r\n$4\r\n6381\r\n")]
    servers = [await asyncio.start_server(sentinel, "127.0.0.1", 0) for sentinel in sentinels]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    nodes = ("127.0.0.1:1", *(f"127.0.0.1:{port}" for port in ports))
    finder = Finder(StoreSettings(redis="redis://u:p@x/2", sentinel=SentinelSettings("main", nodes)))
    for _ in range(2):
        assert await finder.find() == Target("10.0.0.99", 6381, user="u", password="p", db=2)
    assert [sentinel.asked for sentinel in sentinels] == [1, 2]
    for server in servers:
        server.close()
        await server.wait_closed()
    with pytest.raises(NoTarget):
        await finder.find()
