"""A real failover through a real Sentinel: the worker moves to the new primary by itself, and no stamp is lost."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from gateway.settings.model import SentinelSettings
from tests.store.lives import KEYS, Command, bind, opened, settled, stamp, until
from tests.store.servers import BINARY, RealRedis, free_port

pytestmark = pytest.mark.anyio


def sentinel(directory: Path, primary: int) -> tuple[subprocess.Popen[bytes], int]:
    """One sentinel that alone decides, after 300 ms of silence."""
    port = free_port()
    directory.mkdir()
    config = directory / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
        f"sentinel monitor main 127.0.0.1 {primary} 1\n"
        "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
    )
    with (directory / "log").open("wb") as log:
        return subprocess.Popen([BINARY, str(config), "--sentinel"], stdout=log, stderr=log), port


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
            assert (await bind(live, stamp("unreplicated", "rel_1"))).durable == "redis"
            primary.kill()
            replica.start()
            assert (await bind(live, stamp("during", "rel_1"))).durable == "log"
            await until(lambda: b"role:master" in watched("INFO", "replication"), 20)
            await until(lambda: settled(live), 5)
            for name in ("early", "unreplicated", "during"):
                bound = await bind(live, stamp(name, "rel_2"))
                assert (bound.stamp.release, bound.durable) == ("rel_1", "redis")
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
