"""The task that watches who answers for the models in use, with what is counted of it.

Rule of the file: only the process that leads does it. A store that is away ends nothing: what workers told waits in its stream.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping

from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.core.contract.sentinel import Alarm, Watched
from gateway.sentinel.identity import Looked, Watcher
from gateway.telemetry.counters import Reading, Registry

ROUND_SECONDS = 1.0
RAISED = (Alarm.MODEL, Alarm.PROBE, Alarm.LOGPROB)


class Counted:
    """What the looks of this process leave for a scrape: nothing of any snapshot while another process leads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.standing: Mapping[str, Watched] = {}
        for alarm in RAISED:  # there from the start, so that the first alarm is an increase
            registry.counter("drift_alarms_total", alarm.value)
        registry.counter("drift_moves_total")
        registry.source(self.read)

    def read(self) -> Iterator[Reading]:
        """The readings as they stand."""
        for snapshot, watched in self.standing.items():
            yield "drift_epoch", (snapshot,), watched.epoch.number
            yield "drift_open", (snapshot,), int(watched.open)

    def take(self, found: Looked) -> None:
        """One look."""
        if found.standing is not None:
            self.standing = found.standing
        for _, alarm in found.alarms:
            self._registry.counter("drift_alarms_total", alarm.value).n += 1
        if found.moved:
            self._registry.counter("drift_moves_total").n += len(found.moved)


async def watching(
    desk: Callable[[], Awaitable[Desk]], registry: Registry, leading: Callable[[], bool] = lambda: True
) -> None:
    """Rounds until cancelled. `leading` says whether this process is the one that watches."""
    watcher, counted = Watcher(), Counted(registry)
    while True:
        await asyncio.sleep(ROUND_SECONDS)
        if not leading():
            counted.standing = {}
            continue
        with contextlib.suppress(Fault):  # a store that is away is said by housekeeping; the stream keeps everything
            now = await desk()
            counted.take(await watcher.look(now.store, now.settings, now.pins, now.now_ms))
