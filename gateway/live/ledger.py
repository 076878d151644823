"""The accounts of one worker: kept over reloads, and told to the other workers a few times a second.

What a limit can be exceeded by follows from the times here: while the store answers, by what the other workers admit within
EXCHANGE_SECONDS of each other, QUIET_SECONDS at the first use after a rest; while it does not, by nothing, as each worker
keeps to its share.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.live.account import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.settings.model import LimitSettings, Settings
    from gateway.store.live import LiveStore
    from gateway.store.shares import Told, Use

EXCHANGE_SECONDS = 0.25
"""Between two exchanges about an account that is in use."""
QUIET_SECONDS = 1.0
"""The same for one that is not, ..."""
QUIET_EXCHANGES = 500
"""... and for more accounts than this, so many of them a second."""
KEY_DIGITS = 16
"""Digits of a key's sha256 that name its account."""
DEFAULT_TENANT = "default"
"""The tenant of every request when `auth` is not `keys`."""
LOST_SECONDS = 2.0
"""Without an answer for so long, a worker keeps to its share."""


class Ledger:
    """All accounts that a configuration names, and those that earlier ones named."""

    def __init__(self, workers: int = 1) -> None:
        """`workers` is how many share the limits at least."""
        self._workers = workers
        self._accounts: dict[tuple[str, str], Account] = {}
        self._active: list[Account] = []
        self.keys: dict[str, tuple[Account, ...]] = {}
        """The accounts that requests with a key count in, by its sha256."""
        self.everybody: tuple[Account, ...] = ()
        """The same for requests without a key, where none is asked for."""
        self._due: dict[str, float] = {}
        self._heard = float("-inf")
        self._lost = True
        self._woken = asyncio.Event()

    def renew(self, settings: Settings) -> None:
        """Put the limits of a configuration in force. Counts stay."""
        self._active = []
        tenants = {name: self._put("tenant", name, tenant.limits) for name, tenant in settings.tenants.items()}
        self.keys = {
            key.sha256: self._put("key", key.sha256[:KEY_DIGITS], key.limits) + tenants.get(key.tenant, ())
            for key in settings.keys
        }
        self.everybody = tenants.get(DEFAULT_TENANT, ())
        if self._active:
            self._woken.set()

    def _put(self, scope: str, name: str, limits: LimitSettings) -> tuple[Account, ...]:
        if not limited(limits):
            return ()
        account = self._accounts.get((scope, name))
        if account is None:
            account = self._accounts[scope, name] = Account(scope, name, limits, self._workers)
        else:
            account.renew(limits, heard=not self._lost)
        self._active.append(account)
        return (account,)

    @property
    def tenants(self) -> dict[str, int]:
        """Requests in flight of each tenant that has limits."""
        return {account.name: account.in_flight for account in self._active if account.scope == "tenant"}

    # -- with the other workers ---------------------------------------------------------------------------------------

    async def follow(
        self, store: LiveStore, worker: str, clock: Callable[[], float], wall_ms: Callable[[], int]
    ) -> None:
        """Exchange until cancelled; without limits it sleeps. `worker` names this life of the worker and no later one."""
        while True:
            if not self._active:
                self._woken.clear()
                await self._woken.wait()
            await self.exchange(store, worker, clock(), wall_ms())
            await asyncio.sleep(EXCHANGE_SECONDS)

    async def exchange(self, store: LiveStore, worker: str, now: float, at_ms: int, *, every: bool = False) -> None:
        """Tell the others about the accounts whose turn it is (or `every`), and hear them. Never raises."""
        turn = [a for a in self._active if every or a.changed or now >= self._due.get(a.id, 0.0)]
        uses = [account.report(now, at_ms) for account in turn]
        if not uses:
            return
        self._take(turn, uses, await store.share(worker, uses), now)

    def _take(self, turn: Sequence[Account], uses: Sequence[Use], told: Sequence[Told | None], now: float) -> None:
        quiet = max(QUIET_SECONDS, len(self._active) / QUIET_EXCHANGES)
        for account, use, word in zip(turn, uses, told, strict=True):
            if word is None:
                account.unheard(use.runs)
                continue
            self._heard, self._lost = now, False
            account.told(word)
            self._due[account.id] = now + quiet
        if not self._lost and now - self._heard > LOST_SECONDS and any(word is None for word in told):
            self._lost = True
            for account in self._active:
                account.alone()


def limited(limits: LimitSettings) -> bool:
    """Whether there is a limit at all."""
    return bool(limits.requests_per_minute or limits.tokens_per_minute or limits.concurrent_runs or limits.usd_per_day)
