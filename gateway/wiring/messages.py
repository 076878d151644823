"""The task that tells webhooks, with what is counted of it.

Rule of the file: a webhook that is slow, away or wrong costs its own messages time, and nothing else anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp

from gateway.control.desk import Desk
from gateway.control.webhooks import Messenger
from gateway.core.contract.fault import Fault
from gateway.telemetry.counters import Registry

ROUND_SECONDS = 1.0


async def telling(
    desk: Callable[[], Awaitable[Desk]], registry: Registry, leading: Callable[[], bool] = lambda: True
) -> None:
    """Rounds until cancelled. `leading` says whether this process is the one that tells."""
    messenger = Messenger()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            if leading():
                with contextlib.suppress(
                    Fault
                ):  # a store that is away is said by housekeeping; the history keeps everything
                    await messenger.round(await desk(), session, asyncio.get_running_loop().time())
            count(messenger, registry)


def count(messenger: Messenger, registry: Registry) -> None:
    """Put what a messenger counted where it is scraped."""
    for (webhook, result), times in messenger.results.items():
        registry.counter("webhooks_total", webhook, result).n += times
    messenger.results.clear()
    for webhook, age in messenger.waiting_ms.items():
        registry.gauge("webhook_waiting_seconds", webhook).n = age // 1000
