"""The accounts of workers, kept in step through a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.live import ledger as module
from gateway.live.account import Account, Limited
from gateway.live.ledger import LOST_SECONDS, Ledger
from gateway.settings.model import Settings
from gateway.store.live import LiveStore
from tests.store.lives import opened, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio
SHA = "ab" * 32
DAY_MS = 86_400_000
AT = 20_000 * DAY_MS


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


def settings(**limits: float) -> Settings:
    """A key of tenant `a` with these limits, which the tenant has too."""
    key = {"sha256": SHA, "tenant": "a", "limits": limits}
    return msgspec.convert({"auth": "keys", "keys": [key], "tenants": {"a": {"limits": limits}}}, Settings)


class Peer:
    """A worker as far as limits go, with a clock of the test's."""

    def __init__(self, store: LiveStore, name: str, found: Settings, workers: int = 2) -> None:
        self.store, self.name = store, name
        self.ledger = Ledger(workers)
        self.ledger.renew(found)

    @property
    def account(self) -> Account:
        """The key's account."""
        return self.ledger.keys[SHA][0]

    def admit(self, wanted: int, now: float = 100.0) -> int:
        """Ask for so many requests; how many were let in."""
        let_in = 0
        with suppress(Limited):
            for _ in range(wanted):
                self.account.check(now, AT)
                self.account.count(now)
                let_in += 1
        return let_in

    async def exchange(self, now: float = 100.0) -> None:
        """One exchange about everything that has its turn."""
        await self.ledger.exchange(self.store, self.name, now, AT)


@asynccontextmanager
async def peers(server: RealRedis, tmp_path: Path, found: Settings) -> AsyncIterator[list[Peer]]:
    """Two workers with connections of their own."""
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            live = await stack.enter_async_context(opened(server.url, tmp_path / name, name))
            await until(lambda: live._bulk_line.up)  # noqa: B023 - awaited here
            made.append(Peer(live, name, found))
        yield made


async def test_together_they_let_in_the_limit(redis_server: RealRedis, tmp_path: Path) -> None:
    """After an exchange a worker lets in what the other has left; before it, at most the limit each: the stated error."""
    async with peers(redis_server, tmp_path, settings(requests_per_minute=10)) as (one, two):
        for peer in (one, two):
            await peer.exchange()
        assert one.admit(6) == 6
        await one.exchange()
        await two.exchange(101.0)
        assert two.admit(100) == 4
        assert one.admit(100) == 4, "it has not heard of these four yet"
        for peer in (two, one, two):
            await peer.exchange(102.0)
        assert (one.admit(100), two.admit(100)) == (0, 0)


async def test_money_survives_a_restart(redis_server: RealRedis, tmp_path: Path) -> None:
    """A worker that comes back, under any name, starts from what the dead one had spent."""
    async with peers(redis_server, tmp_path, settings(usd_per_day=1)) as (one, _two):
        assert one.admit(1) == 1
        one.account.left(100.0, AT, loose=False, reserved=0, used=(0, 999_999))
        await one.exchange()
        again = Peer(one.store, "again", settings(usd_per_day=1))
        await again.exchange()
        assert again.admit(1) == 1
        again.account.left(100.0, AT, loose=False, reserved=0, used=(0, 1))
        assert again.admit(1) == 0


async def test_without_the_store_each_keeps_to_its_share(redis_server: RealRedis, tmp_path: Path) -> None:
    """Two workers that lose the store let in half the limit each, and the whole again when it is back."""
    async with peers(redis_server, tmp_path, settings(requests_per_minute=10)) as (one, two):
        for peer in (one, two):
            await peer.exchange()
        assert (one.account.cap_requests, two.account.cap_requests) == (10, 10)
        redis_server.stop()
        await until(lambda: not (one.store._bulk_line.up or two.store._bulk_line.up))
        later = 101.0 + LOST_SECONDS
        for peer in (one, two):
            await peer.exchange(later)
        assert (one.admit(100, later), two.admit(100, later)) == (5, 5)
        redis_server.start()
        await until(lambda: one.store._bulk_line.up)
        await one.exchange(later)
        assert one.account.cap_requests == 10


async def test_a_start_without_the_store_begins_with_a_share(redis_server: RealRedis, tmp_path: Path) -> None:
    """Until the store has told, a worker takes no more than its part of the configured workers'."""
    del redis_server
    found = Peer(None, "w", settings(requests_per_minute=9, usd_per_day=3), workers=3)  # type: ignore[arg-type]
    assert found.admit(100) == 3
    assert found.account.cap_spent == 1_000_000


def test_a_reload_keeps_the_counts_and_the_account() -> None:
    """New limits stand at once, what was used stays, and an account that went and came back still knows."""
    made = Ledger()
    made.renew(settings(requests_per_minute=2))
    account = made.keys[SHA][0]
    account.count(1.0)
    made.renew(settings(requests_per_minute=1))
    assert made.keys[SHA][0] is account
    with pytest.raises(Limited):
        account.check(1.0, AT)
    made.renew(Settings())
    assert (made.keys, made.tenants) == ({}, {})
    made.renew(settings(requests_per_minute=5))
    assert made.keys[SHA][0].requests.at(1.0) == 1


async def test_without_limits_it_sleeps_until_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose configuration limits nobody asks nothing; a reload that limits somebody wakes it."""
    monkeypatch.setattr(module, "EXCHANGE_SECONDS", 0.01)
    asked: list[Any] = []

    class Store:
        async def share(self, worker: str, uses: list[Any]) -> list[None]:
            asked.append((worker, [each.account for each in uses]))
            return [None] * len(uses)

    made = Ledger()
    made.renew(Settings())
    task = asyncio.create_task(made.follow(Store(), "w", lambda: 1.0, lambda: AT))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert asked == []
    made.renew(settings(requests_per_minute=1))
    await until(lambda: asked)
    task.cancel()
    assert asked[0] == ("w", ["tenant/a", f"key/{SHA[:16]}"])
