"""The task that keeps proofs of which releases can be called, and probes what nothing proves, with what is counted of it.

Rule of the file: only the process that leads does it. A store or a provider that is away ends nothing, and alarms nobody by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator

from gateway.control import warm
from gateway.control.desk import Desk
from gateway.control.shadow_store import results
from gateway.core.contract.fault import Fault
from gateway.core.contract.sentinel import Proof, WarmRow
from gateway.sentinel.floating import Names
from gateway.sentinel.warm import look
from gateway.store import proofs
from gateway.store.proofs import Taken
from gateway.telemetry.counters import Reading, Registry

FIRST_SECONDS = 5.0
ROUND_SECONDS = 30.0
"""Time between two looks at what calls came to."""
PROBES_AFTER = 60.0
"""Seconds after this process took the lead in which traffic may prove what it will; then probes begin."""


class Counted:
    """What the looks of this process leave for a scrape: nothing of any release while another process leads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.rows: list[WarmRow] = []
        self.taken = Taken()
        self.names = Names()
        registry.source(self.read)

    def read(self) -> Iterator[Reading]:
        """The readings as they stand."""
        for alias, release, proof in dict.fromkeys((row.alias, row.release, row.proof) for row in self.rows):
            for each in Proof:
                yield "warm_state", (alias, release, each.value), int(each is proof)
        for (alias, lane), ready in behind(self.rows).items():
            yield "warm_releases", (alias, lane), ready
        if self.rows:
            yield "probe_calls", (), self.taken.calls
            yield "probe_spent_usd", (), self.taken.micro / 1_000_000

    def probed(self, probes: Counter[str]) -> None:
        """Probes that were made, by what they came to."""
        for result, times in probes.items():
            self._registry.counter("probes_total", result).n += times


def behind(rows: Iterable[WarmRow]) -> dict[tuple[str, str], int]:
    """Alias and lane to how many releases the lane was on before that can take runs now; without lanes that were on none."""
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.place > 0:
            found[row.alias, row.lane] = found.get((row.alias, row.lane), 0) + row.ready
    return found


async def proving(
    desk: Callable[[], Awaitable[Desk]], registry: Registry, leading: Callable[[], bool] = lambda: True
) -> None:
    """Rounds until cancelled. `leading` says whether this process is the one that proves."""
    counted = Counted(registry)
    clock = asyncio.get_running_loop().time
    since = clock()
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        if not leading():
            counted.rows, since = [], clock()
        else:
            with contextlib.suppress(Fault):  # a store that is away is said by housekeeping; the next round goes on
                await once(await desk(), counted, probing=clock() - since >= PROBES_AFTER)
        await asyncio.sleep(ROUND_SECONDS)


async def once(desk: Desk, counted: Counted, *, probing: bool) -> None:
    """One look. Raises Fault when the store cannot be used."""
    begun = time.monotonic()

    def wall_ms() -> int:
        return desk.now_ms + round((time.monotonic() - begun) * 1000)

    port = desk.data_port if probing else None
    async with results(desk) as shadows:
        try:
            found = await look(desk.store, desk.settings, port, wall_ms, shadows)
        except Fault as fault:
            if fault.code != "no_data_port":
                raise
            port = None
            found = await look(desk.store, desk.settings, None, wall_ms, shadows)
    counted.probed(found.probes)
    if port is not None:
        counted.probed(await counted.names.look(desk.store, desk.settings, desk.pins, port, wall_ms))
    counted.taken = await proofs.taken(desk.store, desk.now_ms)
    counted.rows = await warm.listed(desk)
