"""The shadow process: repeats captured exchanges on candidates, far from live traffic and behind everything else of the host.

Rule of the file: it may die, hang or be missing, and no request notices. It has the lowest priority, takes nothing while memory
is short, here or in the store, and loads what compares answers only when there is a first job.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.fault import Fault
from gateway.settings import secrecy
from gateway.store import caps, jobs
from gateway.store.client import Store, store_url
from gateway.telemetry import log as logs
from gateway.telemetry.counters import Registry
from gateway.telemetry.spool import Writer
from gateway.wiring import configured
from gateway.wiring.process import Assignment, Line, Orders, complain, path_or_none
from gateway.wiring.reload import Follower

if TYPE_CHECKING:
    from gateway.wiring.configured import Loaded
    from gateway.wiring.shift import Crew

log = logs.Log("shadow")

LOOK_SECONDS = 0.5
"""How often an idle process looks whether there is a job."""
MEASURE_SECONDS = 1.0
NICEST = 19
AUTOGROUP = Path("/proc/self/autogroup")
RSS_BYTES = 512 << 20
"""Memory of this process above which it takes no job."""
STORE_SHARE = 0.9
"""Share of the store's `maxmemory` above which it takes no job: results would take the place of stamps."""

UNTOLD = frozenset({"store_auth", "store_error"})
"""Faults by which a store refuses to say how full it is, as managed ones do."""


class Works:
    """The objects of this process, and what it looks at."""

    def __init__(self, loaded: Loaded, name: str) -> None:
        settings = loaded.config.settings
        self.loaded = loaded
        self.registry = Registry()
        self.held = ""
        """Why no job is taken: `memory`, `store_memory`; empty when there is no reason."""
        self.crew: Crew | None = None
        self._name = name
        self._main: Store | None = None
        self._results: Store | None = None
        self._trouble = ""
        self._paused: set[str] = set()
        self._writer = Writer(Path(settings.store.data_dir) / "run" / "metrics", "shadow", os.getpid())
        self.registry.gauge("processes", "shadow").n = 1
        self.registry.gauge("config_version", loaded.config.version).n = 1
        self._know()

    def adopt(self, fresh: Loaded) -> None:
        """Put a new configuration in force."""
        self.registry.gauge("config_version", self.loaded.config.version).n = 0
        self.registry.gauge("config_version", fresh.config.version).n = 1
        self.loaded = fresh
        self._know()
        if self.crew is not None:
            self.crew.renew(fresh.config.settings)

    def stores(self) -> tuple[Store, Store]:
        """The main store, and the one with jobs and pairs. Raises Fault while an embedded one is not running, and `store_moved`
        when it came back under another address: the process is started anew then."""
        settings = self.loaded.config.settings.store
        url = store_url(settings)
        if self._main is None or self._results is None:
            self._main = self._results = Store(settings, url=url)
            if settings.shadow_redis:
                self._results = Store(msgspec.structs.replace(settings, redis=settings.shadow_redis, sentinel=None))
        elif self._main.url != url:
            raise Moved
        return self._main, self._results

    async def work(self) -> None:
        """Wait for a first job, then work until cancelled."""
        while True:
            with contextlib.suppress(Fault):
                main, results = self.stores()
                if (await jobs.depth(results)).jobs:
                    break
            await asyncio.sleep(LOOK_SECONDS)
        from gateway.wiring.shift import Crew  # noqa: PLC0415 - most gateways have no shadow and never need it

        settings = self.loaded.config.settings
        self.crew = Crew(settings, self.registry, main, results, self._name, lambda: self.held)
        log.info("first job: working", name=self._name)
        await self.crew.run()

    async def measure(self) -> None:
        """Look at memory, queue and pauses once, and write the numbers. Raises Moved."""
        try:
            _, results = self.stores()
            found = await jobs.depth(results)
            now = time.time_ns() // 1_000_000
            self.registry.gauge("shadow_depth").n = found.jobs
            self.registry.gauge("shadow_age_seconds").n = max(0, now - found.oldest_ms) / 1000 if found.oldest_ms else 0
            await self._pauses(results, now)
            self._hold("memory" if rss() > RSS_BYTES else "store_memory" if await _full(results) else "")
            if self.held == "store_memory" and (dropped := await jobs.drop_stale(results, now)):
                log.warning("jobs that were too old are dropped", count=dropped)
        except Fault as fault:
            if fault.code != self._trouble:
                log.error("the store cannot be used", code=fault.code, problem=fault.message)  # noqa: TRY400 - for people
            self._trouble = fault.code
        else:
            if self._trouble:
                log.info("the store answers again")
            self._trouble = ""
        self.write()

    async def measuring(self, ending: asyncio.Event) -> None:
        """Measure until cancelled; a store that moved ends the process, and its supervisor starts it again."""
        while True:
            try:
                await self.measure()
            except Moved:
                log.warning("the store has another address now: the process starts again")
                ending.set()
            await asyncio.sleep(MEASURE_SECONDS)

    def write(self) -> None:
        """Write the numbers for the scrape."""
        try:
            self._writer.write(self.registry.snapshot())
        except OSError as error:
            log.warning("metrics could not be written", error=type(error).__name__)

    async def close(self) -> None:
        """Leave the stores."""
        for store in {self._main, self._results} - {None}:
            assert store is not None
            await store.close()

    def _know(self) -> None:
        settings = self.loaded.config.settings
        self.registry.know("alias", settings.aliases)
        self.registry.know("provider", settings.providers)

    def _hold(self, why: str) -> None:
        if why != self.held:
            if why:
                log.warning("memory is short: no job is taken", problem=why)
            else:
                log.info("there is memory again: jobs are taken")
        self.held = why

    async def _pauses(self, results: Store, now: int) -> None:
        paused = await caps.pauses(results, now)
        for provider in self._paused | paused.keys():
            self.registry.gauge("shadow_paused", provider).n = int(provider in paused)
        self._paused = set(paused)


class Moved(Exception):
    """The embedded store is at another address than before."""


def rss() -> int:
    """Bytes of memory that this process has in use; its peak where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def _full(store: Store) -> bool:
    """Whether the store is near its limit; not where it does not tell."""
    try:
        found = await store.read("INFO", "memory")
    except Fault as fault:
        if fault.code not in UNTOLD:
            raise
        return False
    if not isinstance(found, dict):
        return False
    most = int(found.get("maxmemory", 0) or 0)
    return most > 0 and int(found.get("used_memory", 0)) > STORE_SHARE * most


def stand_back() -> None:
    """Take only the CPU that nobody else on the host wants, as far as the system lets a process say so.

    Niceness and policy count among the processes of one session where Linux groups tasks by session (`man 7 sched`, "The
    autogroup feature"), and the supervisor gives this process a session of its own: so the session is lowered as well.
    """
    with contextlib.suppress(OSError):
        os.nice(NICEST)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        if os.getsid(0) == os.getpid():  # whoever was typed into a terminal shares the terminal's session
            with contextlib.suppress(OSError):
                AUTOGROUP.write_text(str(NICEST))


def start(task: Assignment, line: Line) -> int:
    """Run the shadow process until it is told to end; returns the exit status."""
    try:
        loaded, problem = configured.read_or_last_good(path_or_none(task.config), path_or_none(task.good))
    except configured.Refused as error:
        return complain(line, str(error))
    logs.configure(secrets=secrecy.secrets(loaded.config.settings))
    if problem:
        log.error("configuration refused, started with the last good one", problem=problem)
    if loaded.config.settings.shadow.priority == "idle":
        stand_back()
    with asyncio.Runner() as runner:
        return runner.run(_serve(task, line, loaded))


async def _serve(task: Assignment, line: Line, loaded: Loaded) -> int:
    orders = Orders.listen(line)
    alone = task.line < 0
    if alone:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, orders.ending.set)
    # Under a supervisor the next process of this place has the same name, and goes on with what this one had in hand.
    works = Works(loaded, f"{socket.gethostname()}:{os.getpid() if alone else os.getppid()}:{task.name}")
    follower = Follower(loaded, works.adopt, works.registry)
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(follower.follow(orders, line)),
            group.create_task(works.measuring(orders.ending)),
            group.create_task(works.work()),
        ]
        log.info("shadow process ready", config=loaded.config.version)
        line.tell("ready")
        await orders.ending.wait()
        for each in running:
            each.cancel()
    works.write()
    await works.close()
    return 0
