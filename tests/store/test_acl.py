"""The least user is enough: a whole gateway works under it, and the server's ACL log stays empty."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gateway.settings.model import StoreSettings
from gateway.store import caps, erasure, jobs, pairs, replays
from gateway.store.acl import COMMANDS, acl_line
from gateway.store.client import Store
from tests.gateway_process import running
from tests.provider import Provider
from tests.shadow.jobs import job
from tests.store.servers import RealRedis
from tests.store.test_pairs import line

BODY = {"model": "support", "messages": [{"role": "user", "content": "hi"}]}


def test_gateway_works_under_the_least_user(tmp_path: Path) -> None:
    """Binding, journal, limits, promotion, rollback, lists and `trivet store` need nothing that the printed line does not give."""
    with RealRedis(tmp_path / "redis") as server:
        assert b"OK" in server.ask(acl_line("trivet", "trivet", "p4ssw0rd-of-the-test"))
        url = f"redis://trivet:p4ssw0rd-of-the-test@127.0.0.1:{server.port}/0"
        aliases = {"support": {"first_release": {"model": "openai/gpt-4o-2024-08-06"}}}
        keys = ["k" * 40]
        limits = {"requests_per_minute": 1000, "concurrent_runs": 10, "usd_per_day": 5}
        tenants = {"default": {"limits": limits}}
        with (
            Provider() as provider,
            running(
                {"openai": provider.url}, aliases=aliases, store={"redis": url}, stamp_keys=keys, tenants=tenants
            ) as gateway,
        ):
            for _ in range(2):
                sent = httpx.post(gateway.base + "/v1/chat/completions", json=BODY, headers={"x-trivet-run": "r"})
                assert sent.status_code == 200, sent.text
            assert sent.headers["x-trivet-bound"] == "resumed"
            new = gateway.json("release", "create", "--model", "openai/gpt-4o-2024-11-20")["id"]
            gateway.cli("rollout", "promote", "support", "--release", new, "--reason", "t", "--override", "me")
            gateway.cli("rollback", "support", "--reason", "t")
            gateway.cli("release", "block", new, "--reason", "t", "--yes")
            gateway.cli("run", "list")
            gateway.cli("run", "show", "r")
            gateway.cli("run", "restart", "r")
            assert gateway.json("store")["safe"] is True
            assert b"*0" not in server.ask("HGETALL trivet:limits:{tenant/default}")
            assert "p4ssw0rd" not in gateway.log
        assert server.ask("ACL LOG").strip() == b"*0"


@pytest.mark.anyio
async def test_the_shadow_works_under_the_least_user(tmp_path: Path) -> None:
    """Queue, results, caps, comparing again and replaying need nothing more either."""
    with RealRedis(tmp_path / "redis") as server:
        assert b"OK" in server.ask(acl_line("trivet", "trivet", "pw"))
        async with Store(StoreSettings(redis=f"redis://trivet:pw@127.0.0.1:{server.port}/0")) as store:
            await jobs.prepare(store)
            for number in range(3):
                assert await replays.put(store, job(number), (b"body", b"reply"), (10, 1000), 5)
            first, second = await jobs.take(store, "w1", 2, 100)
            assert len(await jobs.reclaim(store, "w2", 5, 0)) == 2
            limits = caps.Caps(1, 1000, 1000)
            assert (await caps.admit(store, limits, "openai", "lease", 5)).why == ""
            await caps.release(store, "lease", 1, 5)
            await caps.pause(store, "openai", 9)
            await pairs.keep(store, line(), pairs.Contents(b"x"), 60_000)
            await pairs.finish(store, "a", "rel_2", line(), 5)
            await jobs.done(store, [first.id])
            assert second.job is not None
            await pairs.dead(store, second.job, "attempts", 5)
            await jobs.done(store, [second.id])
            ((entry, old),) = await pairs.entries(store, "a")
            assert await pairs.replace(store, "a", entry, old, old)
            assert (await jobs.depth(store)).jobs == 1
            assert await replays.standing(store, "a", [old.pair], 6) == [replays.Standing.ENDED]
            assert not await pairs.erased(store, "t", "r", 1)
            assert await erasure.drop_jobs(store, erasure.Whose("t")) == {"job": 2}
            assert await erasure.drop_entries(store, "a", erasure.Whose("t/x")) == {"line": 1}
        assert server.ask("ACL LOG").strip() == b"*0"


def test_line_names_no_wide_category() -> None:
    """No category and no server command: the user can neither read other keys nor empty the server."""
    line = acl_line("app", "shop")
    assert "~shop:*" in line
    assert "&shop:*" in line
    assert "@" not in line.partition(">")[2]
    assert not {"flushall", "flushdb", "keys", "scan", "shutdown", "config|set"} & set(COMMANDS)
