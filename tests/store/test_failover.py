"""A real failover through a real Sentinel: the worker moves to the new primary by itself, and no stamp is lost."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from gateway.core.contract.run import Stamp
from gateway.settings.model import SentinelSettings
from gateway.store.live import LiveStore
from tests.ports import free_port
from tests.store.lives import KEYS, Command, bind, opened, settled, stamp, until
from tests.store.servers import BINARY, RealRedis

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

WAIT = 40.0
"""Seconds for what the sentinel does in its own time: usually two, and four more for each time it gives up."""


def sentinel(directory: Path, primary: int) -> tuple[subprocess.Popen[bytes], int]:
    """One sentinel that alone decides, after half a second of silence: it pings as often as that, and on a busy machine a
    shorter one takes the very replica it wants for dead, gives up, and begins again only after twice its timeout."""
    port = free_port()
    directory.mkdir()
    config = directory / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
        f"sentinel monitor main 127.0.0.1 {primary} 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
    )
    with (directory / "log").open("wb") as log:
        return subprocess.Popen([BINARY, str(config), "--sentinel"], stdout=log, stderr=log), port


async def kept(live: LiveStore, want: Stamp, release: str) -> None:
    """Bind until the store has it (a busy one may use up the limit of an answer); it is `release` each time."""
    for _ in range(100):
        bound = await bind(live, want)
        assert bound.stamp.release == release
        if bound.durable == "redis":
            return
        await until(lambda: settled(live), WAIT)
    pytest.fail("the store never took it")


async def test_f8_f9_failover(tmp_path: Path) -> None:
    """F8, F9: the primary dies with stamps its replica never got; they are put into the new primary from the host log."""
    primary = RealRedis(tmp_path / "p")
    replica = RealRedis(tmp_path / "r", replicaof=f"127.0.0.1 {primary.port}")
    ask, watched = Command(primary), Command(replica)
    await until(lambda: b"state=online" in ask("INFO", "replication"), 15)
    watcher, port = sentinel(tmp_path / "s", primary.port)
    nodes = SentinelSettings("main", (f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}"))
    try:
        async with opened("redis://ignored", tmp_path / "d", sentinel=nodes) as live:
            await until(lambda: settled(live))
            await bind(live, stamp("early", "rel_1"))
            await until(lambda: b"num-slaves,1" in _tell(port), 15)
            await until(lambda: watched("EXISTS", KEYS.run("t", "early")))
            replica.kill()
            await kept(live, stamp("unreplicated", "rel_1"), "rel_1")
            primary.kill()
            replica.start()
            assert (await bind(live, stamp("during", "rel_1"))).durable == "log"
            await until(lambda: b"role:master" in watched("INFO", "replication"), WAIT)
            await until(lambda: settled(live), WAIT)
            for name in ("early", "unreplicated", "during"):
                await kept(live, stamp(name, "rel_2"), "rel_1")
                assert watched("EXISTS", KEYS.run("t", name))
    finally:
        watcher.kill()
        watcher.wait()
        primary.stop()
        replica.stop()


def _tell(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(b"SENTINEL MASTERS\r\n")
        return b",".join(link.recv(65536).split(b"\r\n")[1::2])
