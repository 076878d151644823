"""The task that probes stable releases for a change of behaviour, with what is counted of it.

Rule of the file: only the process that leads does it, a few seconds at a time. What cannot be probed is said once and left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.core.contract.probing import Passive, ProbeProgress
from gateway.sentinel import passive
from gateway.sentinel.probes import Post, ask_soon, is_due, target, work
from gateway.store import aliases
from gateway.telemetry import log as logs
from gateway.telemetry.counters import Reading, Registry

log = logs.Log("probing")

FIRST_SECONDS = 60.0
ROUND_SECONDS = 15.0
TELL_MS = 600_000
"""Age of an alarm of the traffic up to which it is told, once."""
RESULTS = ("reference", "same", "differs", "discarded")


class Counted:
    """What the windows of this process leave for a scrape."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.last: dict[tuple[str, str], ProbeProgress] = {}
        """By alias and release."""
        self.told: dict[str, str] = {}
        """What kept an alias from being probed, said last."""
        self.alarms: dict[tuple[str, str], int] = {}
        """Alarms of the traffic of each release so far."""
        registry.source(self.read)

    def read(self) -> Iterator[Reading]:
        """The readings as they stand."""
        for labels, done in self.last.items():
            if done.windows:
                yield "probe_statistic", labels, done.windows[-1].statistic
                yield "probe_p", labels, done.windows[-1].p

    def risen(self, alias: str, release: str, found: Passive) -> bool:
        """Whether the detector of a release's traffic has raised an alarm since the last look of this process."""
        before = self.alarms.get((alias, release))
        self.alarms[alias, release] = found.alarms
        if before is None:
            for metric in passive.METRICS:  # there from the start, so that the first alarm is an increase
                self._registry.counter("passive_alarms_total", alias, metric)
        if before is None or found.alarms <= before:
            return False
        self._registry.counter("passive_alarms_total", alias, found.alarm).n += 1
        return True

    def take(self, done: ProbeProgress) -> None:
        """One piece of work."""
        labels = done.alias, done.release
        before = self.last.get(labels)
        self.last[labels] = done
        for result, grown in zip(RESULTS, _grown(before, done), strict=True):
            if grown:
                self._registry.counter("probe_windows_total", result).n += 1


def _grown(before: ProbeProgress | None, done: ProbeProgress) -> tuple[bool, bool, bool, bool]:
    if before is None:  # how often it was compared before this process nobody knows; a fresh reference is one
        return bool(done.reference_ms) and not (done.windows or done.going), False, False, False
    fresh = done.windows != before.windows and bool(done.windows)
    differs = fresh and done.windows[-1].p < 0.01
    return (
        bool(done.reference_ms and not before.reference_ms),
        fresh and not differs,
        differs,
        done.discarded > before.discarded,
    )


async def probing(
    desk: Callable[[], Awaitable[Desk]], registry: Registry, leading: Callable[[], bool] = lambda: True
) -> None:
    """Rounds until cancelled. `leading` says whether this process is the one that probes."""
    counted = Counted(registry)
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        if not leading():
            counted.last = {}
        else:
            with contextlib.suppress(Fault):  # a store that is away is said by housekeeping; the next round goes on
                await once(await desk(), counted)
        await asyncio.sleep(ROUND_SECONDS)


async def once(desk: Desk, counted: Counted) -> None:
    """One piece of work for every stable release that is due. Raises Fault when the store cannot be used."""
    begun = time.monotonic()

    def wall_ms() -> int:
        return desk.now_ms + round((time.monotonic() - begun) * 1000)

    post = Post(desk.store, desk.settings, desk.data_port, wall_ms)
    if not desk.settings.probes.calls:
        return
    for name in [name for name, declared in desk.settings.aliases.items() if declared.probes is not None]:
        state = await aliases.get(desk.store, name)
        if state is None:
            continue
        for release in dict.fromkeys(lane.release for lane in state.lanes.values()):
            try:
                probed = await target(post, name, release)
                risen = await passive.look(desk.store, probed.snapshot, name, release, wall_ms())
                if (
                    risen.alarm and wall_ms() - risen.alarm_ms < TELL_MS
                ):  # also where the process before this one ended here
                    await passive.tell(desk.store, probed.snapshot, state, release, risen)
                if counted.risen(name, release, risen):
                    log.warning("traffic of a stable release changed; probes begin", alias=name, result=risen.alarm)
                    await ask_soon(post, probed, f"its {risen.alarm} rate rose")
                if await is_due(post, probed):
                    counted.take(await work(post, probed, begin=True))
                counted.told.pop(name, None)
            except Fault as fault:
                if fault.retry:
                    raise
                if counted.told.get(name) != fault.message:
                    log.warning("an alias is not probed", alias=name, problem=fault.message)
                counted.told[name] = fault.message
