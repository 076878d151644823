"""The task that follows the retirement of models in use: asks providers once a day, warns ahead, and counts the days for a scrape.

Rule of the file: only the process that leads does it. A store that is away, or a provider that is, ends nothing and alarms nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import aiohttp

from gateway.control import lifecycle
from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.core.pinning.lifecycle import Calendar
from gateway.sentinel.lifecycle import refresh
from gateway.settings import tables
from gateway.telemetry import log as logs
from gateway.telemetry.counters import Reading, Registry

log = logs.Log("lifecycle")

ROUND_SECONDS = 60.0
"""Time between two looks at what is in use, and before the first question to a provider."""
FIRST_SECONDS = 5.0


class Days:
    """What a scrape is told: the days that the model of each release in use has left. Nothing where nobody says."""

    def __init__(self, registry: Registry) -> None:
        self.left: dict[tuple[str, str, str], int] = {}
        """Alias, release and model to days; negative after the day."""
        registry.source(self.read)

    def read(self) -> Iterator[Reading]:
        """The readings as they stand."""
        for labels, days in self.left.items():
            yield "retirement_days", labels, days

    def set(self, seen: lifecycle.Survey) -> None:
        """Put a survey in place of the one before."""
        days = {(use.alias, use.release, use.snapshot): seen.days(use.snapshot) for use in seen.uses}
        self.left = {labels: left for labels, left in days.items() if left is not None}


async def following(
    desk: Callable[[], Awaitable[Desk]], registry: Registry, leading: Callable[[], bool] = lambda: True
) -> None:
    """Rounds until cancelled. `leading` says whether this process is the one that follows."""
    days, calendar = Days(registry), tables.calendar()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.sleep(FIRST_SECONDS)
        asks = False
        while True:
            if not leading():
                days.left = {}
            else:
                with contextlib.suppress(Fault):  # a store that is away is said by housekeeping; the next round goes on
                    await look(await desk(), calendar, days, session if asks else None)
            asks = True
            await asyncio.sleep(ROUND_SECONDS)


async def look(desk: Desk, calendar: Calendar, days: Days, session: aiohttp.ClientSession | None) -> None:
    """See what is in use; with a session also ask the providers for which that is due, and then warn of what is near: never of
    the calendar's date where the provider has one of its own. Raises Fault for the store."""
    seen = await lifecycle.survey(desk, calendar)
    if session is not None:
        today = datetime.fromtimestamp(desk.now_ms / 1000, UTC).date().isoformat()
        if await refresh(desk.store, desk.settings.providers, seen.known, session, desk.now_ms, today):
            seen = await lifecycle.survey(desk, calendar)
        for told in await lifecycle.warn(desk, seen):
            log.warning("a model in use retires", alias=told.alias, model=told.snapshot, result=told.retires)
    days.set(seen)
