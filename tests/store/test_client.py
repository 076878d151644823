"""The control side's connection: bounds, addresses, secrets, failover."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import anyio
import pytest
from redis.exceptions import ResponseError

from gateway.core.contract.fault import Fault
from gateway.settings.model import SentinelSettings, StoreSettings
from gateway.store.client import COMMAND_SECONDS, Store, store_fault
from tests.ports import free_port
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


async def refused(settings: StoreSettings, *command: str) -> Fault:
    """The fault that a command ends in."""
    async with Store(settings) as store:
        with pytest.raises(Fault) as caught:
            await store.do(*(command or ("PING",)))
    return caught.value


async def test_f8_dead_server_fails_at_once() -> None:
    """A closed port is a fault within the connect bound, without retries, that may be retried by the caller."""
    began = time.monotonic()
    fault = await refused(StoreSettings(redis="redis://alice:secret@127.0.0.1:1"))
    assert time.monotonic() - began < 0.5
    assert (fault.code, fault.status, fault.retry) == ("store_unavailable", 503, True)
    assert "secret" not in fault.message
    assert "alice" not in fault.message
    assert "127.0.0.1:1" in fault.message


async def test_r9_frozen_server_costs_one_timeout(tmp_path: Path) -> None:
    """R9: a frozen server costs its timeout once; after it thaws, the write was made at most once."""
    with RealRedis(tmp_path) as server:
        async with Store(StoreSettings(redis=server.url)) as store:
            await store.do("INCR", "n")
            server.signal(signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(Fault, match="store_timeout"):
                await store.do("INCR", "n")
            assert time.monotonic() - began < COMMAND_SECONDS + 0.3
            server.signal(signal.SIGCONT)
            await anyio.sleep(0.05)
            assert int(await store.do("GET", "n")) <= 2


async def test_wrong_password_and_missing_rights(tmp_path: Path) -> None:
    """An ACL that refuses is told apart from a dead server, names `trivet store acl`, and repeats no password."""
    with RealRedis(tmp_path) as server:
        server.ask("ACL SETUSER trivet on >right ~trivet:* +@all -flushall")
        place = server.url.removeprefix("redis://")
        wrong = await refused(StoreSettings(redis=f"redis://trivet:wrong@{place}"))
        assert (wrong.code, wrong.retry) == ("store_auth", False)
        assert "wrong" not in wrong.message
        missing = await refused(StoreSettings(redis=f"redis://trivet:right@{place}"), "FLUSHALL")
        assert missing.code == "store_auth"
        foreign = await refused(StoreSettings(redis=f"redis://trivet:right@{place}"), "GET", "foreign")
        assert foreign.code == "store_auth"


async def test_acl_user_on_a_unix_socket_and_a_database(tmp_path: Path) -> None:
    """User, password, database and socket come from the URL; people see the socket only."""
    with RealRedis(tmp_path, unixsocket=str(tmp_path / "s")) as server:
        server.ask("ACL SETUSER trivet on >p@ss ~* &* +@all")
        async with Store(StoreSettings(redis=f"unix://trivet:p%40ss@{tmp_path}/s?db=3")) as store:
            await store.do("SET", "k", "v")
            assert b"db3:keys=1" in server.ask("INFO keyspace")
            assert store.where == f"unix://{tmp_path}/s"


async def test_tls_is_verified(tmp_path: Path) -> None:
    """rediss:// needs a certificate that `ca_file` vouches for; without it nothing is sent."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    port = free_port()
    options = {"tls_port": str(port), "tls_cert_file": str(certificate), "tls_key_file": str(key)}
    with RealRedis(tmp_path, **options, tls_ca_cert_file=str(certificate), tls_auth_clients="no"):
        async with Store(StoreSettings(redis=f"rediss://localhost:{port}", ca_file=str(certificate))) as store:
            assert await store.do("PING")
        assert (await refused(StoreSettings(redis=f"rediss://localhost:{port}"))).code == "store_unavailable"
        wrong_name = StoreSettings(redis=f"rediss://127.0.0.1:{port}", ca_file=str(certificate))
        assert (await refused(wrong_name)).code == "store_unavailable"


async def test_full_memory_has_its_own_word(tmp_path: Path) -> None:
    """A server that refuses writes for want of memory says so; reads go on."""
    with RealRedis(tmp_path, maxmemory="100kb") as server:
        async with Store(StoreSettings(redis=server.url)) as store:
            with pytest.raises(Fault, match="store_full"):
                await store.do("SET", "k", "v")
            assert await store.do("GET", "k") is None


async def test_f8_replica_is_a_passing_fault(tmp_path: Path) -> None:
    """F8: a replica's READONLY is a passing fault, and the next command connects anew."""
    with RealRedis(tmp_path / "p") as primary, RealRedis(tmp_path / "r") as replica:
        replica.ask(f"REPLICAOF 127.0.0.1 {primary.port}")
        async with Store(StoreSettings(redis=replica.url)) as store:
            with pytest.raises(Fault, match="store_readonly") as caught:
                await store.do("SET", "k", "v")
            assert caught.value.retry
            replica.ask("REPLICAOF NO ONE")
            assert await store.do("SET", "k", "v")


async def test_bad_url_and_embedded_that_is_not_running(tmp_path: Path) -> None:
    """A URL of another kind is refused by the setting's name; an embedded store that nobody started says how to start it."""
    with pytest.raises(Fault, match="store_url"):
        Store(StoreSettings(redis="http://example.org"))
    with pytest.raises(Fault, match="store_unavailable") as caught:
        Store(StoreSettings(data_dir=str(tmp_path)))
    assert "trivet serve" in caught.value.message


async def test_script_without_its_text_on_the_server(store: Store) -> None:
    """A script the server has forgotten is sent again, once."""
    text = "return redis.call('INCR', KEYS[1])"
    assert await store.script(text, "0" * 40, ["n"], []) == 1


def test_server_words_are_not_repeated() -> None:
    """An unforeseen error keeps its word and nothing of what it quotes."""
    assert "secret" not in store_fault(ResponseError("WEIRD value 'secret'"), "here").message
    assert "WEIRD" in store_fault(ResponseError("WEIRD value 'secret'"), "here").message


async def test_f9_sentinel_failover(tmp_path: Path) -> None:
    """F8, F9: with 3 sentinels, the store follows a failover to the replica without a new configuration."""
    primary, replica = RealRedis(tmp_path / "p"), RealRedis(tmp_path / "r")
    replica.ask(f"REPLICAOF 127.0.0.1 {primary.port}")
    ports = [free_port() for _ in range(3)]
    sentinels = []
    for port in ports:
        configuration = tmp_path / f"{port}.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {primary.port} 2\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
        )
        log = (tmp_path / f"{port}.log").open("wb")
        sentinels.append(subprocess.Popen(["redis-sentinel", str(configuration)], stdout=log, stderr=log))
        log.close()
    nodes = tuple(f"127.0.0.1:{port}" for port in ports)
    store = Store(StoreSettings(redis="redis://ignored", sentinel=SentinelSettings("main", nodes)))
    assert store.where.startswith("sentinel main at 127.0.0.1")
    try:
        await written(store, "before", 10)
        await sentinels_agree(ports)
        primary.kill()
        await written(store, "after", 20)
        assert b"after" in replica.ask("KEYS *")
    finally:
        await store.close()
        for process in sentinels:
            process.kill()
            process.wait()
        primary.stop()
        replica.stop()


async def written(store: Store, key: str, seconds: float) -> None:
    """Set a key as soon as the store takes it."""
    with anyio.fail_after(seconds):
        while True:
            try:
                await store.do("SET", key, "x")
                return
            except Fault:
                await anyio.sleep(0.05)


async def sentinels_agree(ports: list[int]) -> None:
    """Wait until each sentinel knows the two others and the replica."""

    def told(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            link.sendall(b"INFO sentinel\r\n")
            return link.recv(65536)

    with anyio.fail_after(15):
        while not all(b"slaves=1,sentinels=3" in told(port) for port in ports):
            await anyio.sleep(0.1)
