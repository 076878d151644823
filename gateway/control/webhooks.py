"""Telling others of transitions: one signed POST per entry of a history and webhook, in order, until it is taken or too old.

Rule of the file: the history is the queue. What was told is a cursor per webhook and alias in the store, moved after the
receiver took the message, so nothing is lost by a crash and a message may come twice with the same id. The form is that of
the Standard Webhooks specification: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import aiohttp
import msgspec

from gateway.control.desk import Desk
from gateway.core.contract.records import HistoryEntry
from gateway.core.rollout.notice import notice, worth_telling
from gateway.settings.model import WebhookSettings
from gateway.settings.webhooks import key
from gateway.store import aliases

BATCH = 20
"""Entries of a history read at a time."""
TIMEOUT_SECONDS = 10.0
WAITS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
"""Seconds after a failure until the next try; the last one stands for all that follow."""


class Messenger:
    """Tells every webhook of what it was not told yet. One round after another, by one process at a time."""

    def __init__(self) -> None:
        self.results: Counter[tuple[str, str]] = Counter()
        """Webhook and result (`taken`, `failed`, `given_up`) to how often; read and reset by who counts."""
        self.waiting_ms: dict[str, int] = {}
        """Webhook to the age of the message that it does not take; 0 while it takes them."""
        self._failures: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}

    async def round(self, desk: Desk, session: aiohttp.ClientSession, now: float) -> int:
        """Tell what can be told; how many messages were taken. `now` is monotonic seconds. Raises Fault for the store."""
        webhooks = desk.settings.webhooks
        if not webhooks:
            return 0
        names = await aliases.names(desk.store)
        cursors = await aliases.told(desk.store)
        due = [webhook for webhook in webhooks if self._not_before.get(webhook.name, 0.0) <= now]
        for webhook in webhooks:
            self.waiting_ms.setdefault(webhook.name, 0)
        # Side by side: a receiver that takes its time has nobody wait but itself.
        told = (self._through(desk, session, webhook, (names, cursors), now) for webhook in due)
        counts = await asyncio.gather(*told, return_exceptions=True)
        for count in counts:
            if isinstance(count, BaseException):
                raise count
        return sum(count for count in counts if isinstance(count, int))

    async def _through(
        self,
        desk: Desk,
        session: aiohttp.ClientSession,
        webhook: WebhookSettings,
        known: tuple[Sequence[str], Mapping[str, str]],
        now: float,
    ) -> int:
        """One webhook's messages, alias by alias; how many it took. `known` are the aliases and what was told of them."""
        names, cursors = known
        taken = 0
        for alias in names:
            if not _matches(alias, webhook.aliases):
                continue
            count, stuck = await self._tell(desk, session, webhook, alias, cursors)
            taken += count
            if stuck:
                self._failures[webhook.name] += 1
                self._not_before[webhook.name] = now + WAITS[min(self._failures[webhook.name], len(WAITS)) - 1]
                return taken
        self._failures.pop(webhook.name, None)
        self.waiting_ms[webhook.name] = 0
        return taken

    async def _tell(
        self,
        desk: Desk,
        session: aiohttp.ClientSession,
        webhook: WebhookSettings,
        alias: str,
        cursors: Mapping[str, str],
    ) -> tuple[int, bool]:
        """Messages taken, and whether one was not."""
        place = f"{webhook.name} {alias}"
        cursor = cursors.get(place)
        if cursor is None:
            # A webhook that is new is told of what happens from now on.
            newest = await aliases.history(desk.store, alias, 1)
            await aliases.tell(desk.store, place, newest[0].id if newest else "0-0")
            return 0, False
        taken = 0
        for entry in await aliases.history_after(desk.store, alias, cursor, BATCH):
            if worth_telling(entry) and _matches(entry.action, webhook.actions):
                result = await send(session, webhook, alias, entry, desk.now_ms // 1000)
                age = desk.now_ms - entry.at_ms
                if result != "taken" and age < webhook.give_up * 1000:
                    self.results[webhook.name, "failed"] += 1
                    self.waiting_ms[webhook.name] = max(age, 1)
                    return taken, True
                self.results[webhook.name, "taken" if result == "taken" else "given_up"] += 1
                taken += result == "taken"
            await aliases.tell(desk.store, place, entry.id)
        return taken, False


async def send(
    session: aiohttp.ClientSession, webhook: WebhookSettings, alias: str, entry: HistoryEntry, now: int
) -> str:
    """POST one message; `taken`, or in a word why not. `now` is wall clock in seconds. Never raises, never follows a redirect."""
    body = msgspec.json.encode(notice(alias, entry))
    fields = {"content-type": "application/json", **signed(webhook.secret, f"{alias}/{entry.id}", now, body)}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with session.post(
            webhook.url, data=body, headers=fields, timeout=timeout, allow_redirects=False
        ) as answer:
            return "taken" if 200 <= answer.status < 300 else f"status {answer.status}"
    except TimeoutError:
        return "timeout"
    except aiohttp.ClientError as error:
        return type(error).__name__


def signed(secret: str, identifier: str, now: int, body: bytes) -> dict[str, str]:
    """The three fields of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`. Raises SecretError."""
    content = b".".join((identifier.encode(), str(now).encode(), body))
    signature = base64.b64encode(hmac.digest(key(secret), content, hashlib.sha256)).decode()
    return {"webhook-id": identifier, "webhook-timestamp": str(now), "webhook-signature": f"v1,{signature}"}


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
