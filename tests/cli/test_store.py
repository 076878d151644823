"""`trivet store`: where, safe or not, how large; acl, restore, bootstrap."""

from __future__ import annotations

from pathlib import Path

from tests.gateway_process import Gateway, running
from tests.store.servers import RealRedis


def test_where_and_safe(gateway: Gateway) -> None:
    """An embedded store is safe and says its size."""
    text = gateway.shell("store").stdout
    assert "noeviction" in text
    assert "keys" in text
    assert gateway.json("store")["safe"] is True


def test_f6_unsafe_store_is_1_and_says_why(tmp_path: Path) -> None:
    """F6: a store that evicts is served with a warning everywhere: command, readiness of the admin port, metric."""
    server = RealRedis(tmp_path / "redis", maxmemory_policy="allkeys-lru", appendonly="no")
    try:
        with running(store={"redis": server.url}, stamp_keys=["k" * 40]) as gateway:
            done = gateway.cli("store", status=1)
            assert "allkeys-lru" in done.stderr
            assert b"allkeys-lru" in gateway.get(gateway.admin + "/readyz")[1]
            assert b"trivet_redis_unsafe_config 1.0" in gateway.get(gateway.admin + "/metrics")[1]
    finally:
        server.stop()


def test_acl_is_one_line(gateway: Gateway) -> None:
    """The least user's rules, for the prefix of the configuration."""
    line = gateway.cli("store", "acl", "app").stdout
    assert line.startswith("ACL SETUSER app")
    assert line.count("\n") == 1


def test_restore_and_bootstrap_ask_first(gateway: Gateway) -> None:
    """Both change what everybody serves: in a script they need --yes."""
    for verb in ("restore", "bootstrap"):
        assert "--yes" in gateway.cli("store", verb, "--reason", "x", status=2).stderr


def test_lost_store_is_restored(tmp_path: Path) -> None:
    """A flushed store changes nothing until `store restore` writes this host's pointers back."""
    server = RealRedis(tmp_path / "redis")
    aliases = {"support": {"first_release": {"model": "openai/gpt-4o-2024-08-06"}}}
    try:
        with running(store={"redis": server.url}, stamp_keys=["k" * 40], aliases=aliases) as gateway:
            before = gateway.json("alias", "show", "support")["state"]["lanes"]
            server.ask("FLUSHALL")
            assert gateway.json("status", status=1)["store_lost"] is True
            done = gateway.json("store", "restore", "--reason", "flushed by mistake", "--yes")
            assert done["aliases"] == ["support"]
            assert gateway.json("alias", "show", "support")["state"]["lanes"] == before
            assert gateway.json("status")["store_lost"] is False
    finally:
        server.stop()
