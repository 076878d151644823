"""A line never mixes replies, never makes anybody wait past its limit, and comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings.model import StoreSettings
from gateway.store.breaker import OPEN
from gateway.store.counters import LineCounters
from gateway.store.line import Line, LineOptions
from gateway.store.resp import pack
from gateway.store.scripts import sha
from gateway.store.sinks import LineError
from gateway.store.target import Finder
from gateway.wire.flow import Wait, run
from tests.ports import free_port
from tests.store.lives import Command, until
from tests.store.proxy import Proxy
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


class Told:
    """Counts what happens to commands nobody waits for."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.errors: list[BaseException] = []

    def done(self, value: Any) -> None:
        self.values.append(value)

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)


def make(url: str, *, limit: float = 0.1, channel: str = "", **more: Any) -> Line:
    """A line that probes with a plain write."""
    options = LineOptions("test", lambda: pack("SET", "probe", 1), limit, ("return 7",), channel)
    return Line(Finder(StoreSettings(redis=url, **more)), options, LineCounters())


@contextlib.asynccontextmanager
async def up(url: str, **more: Any) -> AsyncIterator[Line]:
    """A line that is up."""
    line = make(url, **more)
    line.start()
    try:
        await until(lambda: line.up)
        yield line
    finally:
        await line.close()


async def answer(line: Line, *parts: bytes | str | int) -> Any:
    """One command from a flow."""
    wait: Wait[Any] = Wait()
    line.send(pack(*parts), wait)
    return await wait


async def test_each_reply_meets_its_command(redis_server: RealRedis) -> None:
    """Hundreds of commands of one moment are answered in order."""
    async with up(redis_server.url) as line:
        answers = await asyncio.gather(*[run(answer(line, "ECHO", str(n))) for n in range(500)])
    assert answers == [b"%d" % n for n in range(500)]


async def test_one_write_per_iteration(redis_server: RealRedis) -> None:
    """Commands of one loop iteration leave together."""
    async with up(redis_server.url) as line:
        assert line._transport is not None
        writes: list[int] = []

        class Spy:
            def write(self, data: bytes) -> None:
                writes.append(len(data))
                real.write(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        real, line._transport = line._transport, Spy()  # type: ignore[assignment]
        await asyncio.gather(*[run(answer(line, "ECHO", "x")) for _ in range(50)])
        assert len(writes) == 1


async def test_server_errors_belong_to_one_command(redis_server: RealRedis) -> None:
    """An error reply fails its own command; the others get their answers and the line stays up."""
    async with up(redis_server.url) as line:
        got = await line.ask_many([pack("ECHO", "a"), pack("NONSENSE"), pack("ECHO", "b")])
        assert (got[0], got[2]) == (b"a", b"b")
        assert isinstance(got[1], LineError)
        assert got[1].kind == "err"
        assert line.up
        assert line._counters.errors == {"err": 1}


async def test_f4_one_byte_slices(redis_server: RealRedis) -> None:
    """F4: replies cut into single bytes are the same replies."""
    async with Proxy(redis_server.port) as proxy:
        proxy.slice = 1
        async with up(proxy.url) as line:
            answers = await asyncio.gather(*[run(answer(line, "ECHO", str(n))) for n in range(100)])
    assert answers == [b"%d" % n for n in range(100)]


async def test_f4_reset_fails_what_is_open_and_comes_back(redis_server: RealRedis) -> None:
    """F4: a reset fails the unanswered commands at once; none is sent again; the line is back within a second."""
    async with Proxy(redis_server.port) as proxy, up(proxy.url) as line:
        proxy.delay = 0.05
        waiting = asyncio.gather(*[run(answer(line, "INCR", "n")) for _ in range(10)], return_exceptions=True)
        await asyncio.sleep(0.01)
        proxy.reset()
        proxy.delay = 0
        errors = await waiting
        assert all(isinstance(error, LineError) for error in errors)
        with pytest.raises(LineError) as down:
            line.send(pack("PING"), Told())
        assert down.value.sent is False
        assert await until(lambda: line.up) < 1
        assert await run(answer(line, "GET", "n")) in {b"10", None}, "never applied twice"


async def test_f3_frozen_server_costs_one_limit(redis_server: RealRedis) -> None:
    """F3: with SIGSTOP, the first commands wait the limit, later ones not at all; it notices the thaw within a second."""
    loop = asyncio.get_running_loop()
    async with up(redis_server.url) as line:
        redis_server.signal(signal.SIGSTOP)
        try:
            begun = loop.time()
            with pytest.raises(LineError) as late:
                await run(answer(line, "PING"))
            assert late.value.kind == "timeout"
            assert 0.09 < loop.time() - begun < 0.2
            assert not line.up
            assert line.breaker.state == OPEN
            await asyncio.sleep(0.3)
            assert not line.up
        finally:
            redis_server.signal(signal.SIGCONT)
        assert await until(lambda: line.up) < 1.6
        assert await run(answer(line, "ECHO", "x")) == b"x"


async def test_f4_slow_server_stays_away(redis_server: RealRedis) -> None:
    """F4: a server that answers later than the limit does not get past the probe, so no request pays for it."""
    async with Proxy(redis_server.port) as proxy:
        proxy.delay = 0.3
        line = make(proxy.url)
        line.start()
        await asyncio.sleep(1.2)
        assert not line.up
        proxy.delay = 0
        assert await until(lambda: line.up) < 2
        await line.close()


async def test_f4_black_hole(redis_server: RealRedis) -> None:
    """F4: a connection on which nothing arrives any more is given up after the limit."""
    async with Proxy(redis_server.port) as proxy, up(proxy.url) as line:
        proxy.hole = True
        with pytest.raises(LineError):
            await run(answer(line, "PING"))
        proxy.hole = False
        assert await until(lambda: line.up) < 2.5


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400\r\n", b":1\r\n", b"$5\r\nab"])
async def test_f4_junk_drops_the_connection(redis_server: RealRedis, junk: bytes) -> None:
    """F4: bytes that answer nothing, or shift the answers, never reach a command as another one's answer."""
    async with Proxy(redis_server.port) as proxy, up(proxy.url) as line:
        proxy.corrupt = junk
        results = await asyncio.gather(*[run(answer(line, "ECHO", "mine")) for _ in range(3)], return_exceptions=True)
        if junk == b":1\r\n":
            # A well-formed extra reply shifts the answers; the surplus one drops the line. Callers check whose answer it is.
            assert results[0] == 1
        else:
            assert all(isinstance(result, LineError) for result in results)
        await until(lambda: line._counters.connects >= 2 and line.up)
        assert await run(answer(line, "ECHO", "mine")) == b"mine"


async def test_f2_killed_server(tmp_path: Path) -> None:
    """F2: kill -9 is noticed at once, and a server started again is used within a second."""
    server = RealRedis(tmp_path)
    try:
        async with up(server.url) as line:
            server.kill()
            assert await until(lambda: not line.up) < 0.5
            server.start()
            assert await until(lambda: line.up) < 1
    finally:
        server.stop()


async def test_f7_f5_refused_writes_open_the_breaker(redis_server: RealRedis) -> None:
    """F5: with memory full, few commands are refused, then none is sent; half-open probes close it when there is room."""
    tell = Command(redis_server)
    async with up(redis_server.url) as line:
        tell("CONFIG", "SET", "maxmemory", "1")
        try:
            for _ in range(3):
                with pytest.raises(LineError) as refused:
                    await run(answer(line, "SET", "k", "v"))
                assert refused.value.kind == "oom"
            assert not line.up
            connects = line._counters.connects
            await asyncio.sleep(0.7)
            assert not line.up, "the probe writes, and that is still refused"
        finally:
            tell("CONFIG", "SET", "maxmemory", "0")
        assert await until(lambda: line.up) < 1.1
        assert line._counters.connects == connects, "no reconnect was needed"


async def test_f8_readonly_means_another_server(redis_server: RealRedis, tmp_path: Path) -> None:
    """F8: a primary that became a replica is left at once; the line is back when it is a primary again."""
    tell = Command(redis_server)
    async with up(redis_server.url) as line:
        tell("REPLICAOF", "127.0.0.1", free_port())
        try:
            with pytest.raises(LineError) as refused:
                await run(answer(line, "SET", "k", "v"))
            assert refused.value.kind in {"readonly", "masterdown"}
            await asyncio.sleep(0.1)
            assert not line.up
        finally:
            tell("REPLICAOF", "NO", "ONE")
        assert await until(lambda: line.up) < 1


async def test_flushed_scripts_come_back(redis_server: RealRedis) -> None:
    """After SCRIPT FLUSH the first call fails with `noscript` and the next one works."""
    async with up(redis_server.url) as line:
        Command(redis_server)("SCRIPT", "FLUSH")
        with pytest.raises(LineError) as missing:
            await run(answer(line, "EVALSHA", sha("return 7"), 0))
        assert missing.value.kind == "noscript"
        assert await run(answer(line, "EVALSHA", sha("return 7"), 0)) == 7


async def test_messages_arrive(redis_server: RealRedis) -> None:
    """Messages of the channel arrive between answers on the same connection."""
    got: list[bytes] = []
    line = make(redis_server.url, channel="news")
    line.on_push = got.append
    line.start()
    await until(lambda: line.up)
    assert line.subscribed
    Command(redis_server)("PUBLISH", "news", "a 1")
    assert await run(answer(line, "ECHO", "x")) == b"x"
    await until(lambda: got == [b"a 1"])
    await line.close()


async def test_acl_user_tls_and_database(tmp_path: Path) -> None:
    """A TLS server with an ACL user and another database is used; a wrong password and an unknown authority are not."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    curve = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    command = [*curve.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *command], check=True, capture_output=True)
    tls = str(free_port())
    try:
        server = RealRedis(
            tmp_path / "r",
            tls_port=tls,
            tls_cert_file=str(certificate),
            tls_key_file=str(key),
            tls_ca_cert_file=str(certificate),
            tls_auth_clients="no",
        )
    except RuntimeError:
        pytest.skip("this redis-server is built without TLS")
    tell = Command(server)
    tell("ACL", "SETUSER", "gate", "on", ">s%cret", "~*", "&*", "+@all")
    try:
        url = f"rediss://gate:s%25cret@localhost:{tls}/3"
        async with up(url, ca_file=str(certificate)) as line:
            await run(answer(line, "SET", "here", "1"))
            assert b"db3" in tell("INFO", "keyspace")
        wrong = make(f"rediss://gate:wrong@localhost:{tls}", ca_file=str(certificate))
        untrusted = make(url)
        for line in (wrong, untrusted):
            line.start()
        await until(lambda: wrong._counters.errors.get("noauth") and untrusted._counters.errors)
        assert not wrong.up
        assert not untrusted.up
        await wrong.close()
        await untrusted.close()
    finally:
        server.stop()


async def test_acl_without_pubsub_still_works(redis_server: RealRedis) -> None:
    """A user who may not subscribe gets a line without messages, with replies in order."""
    tell = Command(redis_server)
    tell("ACL", "SETUSER", "quiet", "on", ">pw", "~*", "resetchannels", "+@all", "-subscribe")
    line = make(f"redis://quiet:pw@127.0.0.1:{redis_server.port}", channel="news")
    line.start()
    try:
        await until(lambda: line.up)
        assert not line.subscribed
        assert await run(answer(line, "ECHO", "x")) == b"x"
    finally:
        await line.close()
        tell("ACL", "DELUSER", "quiet")


async def test_unix_socket(tmp_path: Path) -> None:
    """A unix socket is as good as a port."""
    server = RealRedis(tmp_path / "r", unixsocket=str(tmp_path / "s"))
    try:
        async with up(f"unix://{tmp_path / 's'}?db=1") as line:
            assert await run(answer(line, "ECHO", "x")) == b"x"
    finally:
        server.stop()


async def test_one_timer_while_commands_are_open(redis_server: RealRedis) -> None:
    """However many commands are open, one timer watches them, and none when nothing is open."""
    async with up(redis_server.url) as line:
        await asyncio.gather(*[run(answer(line, "PING")) for _ in range(100)])
        assert line._timer is not None
        await asyncio.sleep(0.25)
        assert line._timer is None
        assert not line._marks
