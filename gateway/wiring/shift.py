"""What a shadow process loads once there is a job: caller, catalogue and the loop that works on jobs.

Rule of the file: the connections to providers are this process's own, with the gateway's keys, never a caller's.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from gateway.settings import tables
from gateway.shadow.call import Calls
from gateway.shadow.catalogue import StoreCatalogue
from gateway.shadow.meters import Meters, ends
from gateway.shadow.work import Post, Shift
from gateway.upstream.call import Upstreams
from gateway.wire.deadlines import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.settings.model import Settings
    from gateway.store.client import Store
    from gateway.telemetry.counters import Registry


class Crew:
    """Works on jobs until cancelled. Construct inside the running loop. `main` has aliases and releases, `results` jobs and
    pairs; `held` says why nothing is taken."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        main: Store,
        results: Store,
        consumer: str,
        held: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._sweeper = Sweeper()
        self._upstreams = Upstreams(settings, self._sweeper, registry, wall=time.time, background=True)  # noqa: TID251
        catalogue = StoreCatalogue(lambda: main, time.monotonic, lambda name: registry.know("alias", [name]))
        self._calls = Calls(
            self._upstreams,
            catalogue.legs,
            settings,
            prices=tables.prices(),
            wall=time.time,  # noqa: TID251 - wiring reads the clocks
            told=Meters(registry).called,
        )
        self.shift = Shift(
            Post(
                store=results,
                catalogue=catalogue,
                caller=self._calls,
                settings=lambda: self._settings.shadow,
                consumer=consumer,
                now_ms=lambda: time.time_ns() // 1_000_000,
                dice=random.SystemRandom(),
                held=held,
            )
        )
        registry.source(ends(self.shift.tally))

    def renew(self, settings: Settings) -> None:
        """Take new settings; calls at hand end under the old ones. The number of slots is that of the start."""
        self._settings = settings
        self._upstreams.renew(settings)
        self._calls.renew(settings)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self.shift.run()
        finally:
            self._upstreams.close()
            self._sweeper.close()
