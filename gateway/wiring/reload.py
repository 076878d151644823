"""A process follows its configuration file: on SIGHUP and within a second of a change, keeping the last good one.

Rule of the file: `settings.reload` decides what becomes of a change; here it is put in force, counted, logged, and told to
the supervisor, who keeps the copy that a dead process comes back with.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from gateway.settings.reload import Reloaded, Watcher
from gateway.telemetry.counters import Registry
from gateway.telemetry.log import Log
from gateway.wiring.configured import BUILT_IN_NAME, Loaded
from gateway.wiring.process import Line, Orders

log = Log("reload")

LOOK_SECONDS = 0.4
"""How often the file is looked at. A change is believed at the second look, so a revoked key is refused within a second."""


class Follower:
    """Looks at the file and hands a good new configuration to `apply`."""

    def __init__(self, loaded: Loaded, apply: Callable[[Loaded], None], registry: Registry) -> None:
        self._watcher = Watcher(loaded.config, os.environ)
        self._apply = apply
        self._registry = registry

    async def follow(self, orders: Orders, line: Line) -> None:
        """Until cancelled."""
        while True:
            told = True
            try:
                await asyncio.wait_for(orders.reload.wait(), LOOK_SECONDS)
            except TimeoutError:
                told = False
            orders.reload.clear()
            self.look(line, now=told)

    def look(self, line: Line, *, now: bool) -> Reloaded | None:
        """Look once; `now` when an operator asked. What became of a change, None while there is none."""
        if self._watcher.current.path == BUILT_IN_NAME:
            return None
        seen = self._watcher.look(now=now)
        if seen is None:
            return None
        self._registry.counter("config_reload_total", seen.result).n += 1
        if seen.result == "refused":
            for problem in seen.problems:
                log.error("configuration refused, the old one stays", problem=problem)
            line.tell("refused", message="\n".join(seen.problems))
            return seen
        for key in seen.restart:
            log.warning("this change takes a restart", key=key)
        self._apply(Loaded(seen.config, seen.problems))
        log.info("configuration in force", config=seen.config.version, result=seen.result)
        line.tell("reloaded", message=seen.config.version)
        return seen
