"""The background process: the admin port, the loop that drives rollouts, first releases, overrides brought back into the store, and
what a scrape wants to know.

Rule of the file: nothing here is on the way of a request. While this process is dead, live workers serve on, and the
command line works on the store directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from functools import partial
from pathlib import Path

from aiohttp import web

from gateway import __version__
from gateway.admin.app import Backstage, Readiness, build
from gateway.admin.audit import Audit
from gateway.admin.operations import OPERATIONS
from gateway.admin.quiet import QuietRunner
from gateway.admin.rights import Actor
from gateway.admin.visit import Visit
from gateway.control import first, local
from gateway.control.desk import Desk
from gateway.control.prompts import Learner
from gateway.control.shadow_store import results
from gateway.control.turned import AUTHOR as CONDUCTOR
from gateway.core.contract.fault import Fault
from gateway.settings import secrecy, tables
from gateway.settings.model import AdminSettings
from gateway.store import aliases, jobs, recovery, safety, workers
from gateway.store.client import Store, store_url
from gateway.store.local import DiskCopyError
from gateway.telemetry import exposition
from gateway.telemetry import log as logs
from gateway.telemetry.counters import Registry
from gateway.telemetry.spool import Reader, Writer
from gateway.wiring import configured, readings
from gateway.wiring.conducting import conducting, conductor
from gateway.wiring.configured import Loaded
from gateway.wiring.dataport import data_port
from gateway.wiring.lifecycle import following
from gateway.wiring.messages import telling
from gateway.wiring.probing import probing
from gateway.wiring.process import Assignment, Line, Orders, complain, path_or_none, split_address
from gateway.wiring.proving import proving
from gateway.wiring.reload import Follower
from gateway.wiring.watching import watching

log = logs.Log("background")

LOOK_SECONDS = 1.0
"""Time between two looks at the prompts and toolsets that were sent."""
ROUND_SECONDS = 2.0
"""Time between two rounds of housekeeping."""
SWEEP_ROUNDS = 30
"""Rounds between two clean-ups of heartbeats of workers long gone."""
SEED_SECONDS = 2.0
"""How long the start waits for the store to take first releases; later rounds go on trying."""
PASSING = frozenset({"store_unavailable", "store_loading", "store_timeout"})
"""Troubles that may be over in a moment."""
AUTHOR = "config"
"""Actor of what the configuration causes."""


class Office:
    """The objects of this process, and the rounds it makes."""

    def __init__(self, loaded: Loaded) -> None:
        settings = loaded.config.settings
        self.loaded = loaded
        self.registry = Registry()
        self.audit = Audit()
        self.pins = tables.pinning()
        self.unsafe: tuple[str, ...] = ()
        self.trouble = ""
        """Code of the fault of the last round; empty when the store answered."""
        self.problem = ""
        """That fault's sentence."""
        self.workers = 0
        self.learner = Learner()
        self._store: Store | None = None
        self._seeded = ("", "")
        """Version of the configuration whose first releases are made, and instance of the store they are made in."""
        folder = Path(settings.store.data_dir) / "run" / "metrics"
        self._reader = Reader(folder, time.time)  # noqa: TID251 - wiring reads the clocks
        self._writer = Writer(folder, "background", os.getpid())
        self.registry.gauge("processes", "background").n = 1
        self.registry.gauge("config_version", loaded.config.version).n = 1
        self.registry.source(readings.audit(self.audit))
        self._active: set[tuple[str, str, str]] = set()

    async def store(self) -> Store:
        """The store; a new connection when an embedded server came back under another address. Raises Fault."""
        url = store_url(self.loaded.config.settings.store)
        if self._store is None or self._store.url != url:
            old, self._store = self._store, Store(self.loaded.config.settings.store, url=url)
            if old is not None:
                await old.close()
        return self._store

    async def desk(self, actor: str) -> Desk:
        """A desk for one operation. Raises Fault."""
        store = await self.store()
        settings = self.loaded.config.settings
        return Desk(store, settings, self.pins, actor, time.time_ns() // 1_000_000, partial(data_port, settings))

    async def visit(self, actor: Actor) -> Visit:
        """A visit for one operation of the admin port. Raises Fault."""
        return Visit(actor, await self.desk(actor.name), self.loaded.config)

    def adopt(self, fresh: Loaded) -> None:
        """Put a new configuration in force; its new aliases are seeded in the next round."""
        self.registry.gauge("config_version", self.loaded.config.version).n = 0
        self.registry.gauge("config_version", fresh.config.version).n = 1
        self.loaded = fresh

    async def seed(self) -> None:
        """Make the first releases of the configuration in force, once per store: a `bootstrap` makes it another store.

        Raises Fault when the store cannot be used.
        """
        version = self.loaded.config.version
        desk = await self.desk(AUTHOR)
        if self._seeded == (version, (await recovery.identity(desk.store)).instance):
            return
        base = self.loaded.config.path.parent
        for made in await first.seed(desk, base):
            if made.made:
                log.info("first release made", alias=made.alias, release=made.release)
        for name in await first.align_stakes(desk):
            log.info("stakes follow the configuration", alias=name)
        self._seeded = (version, (await recovery.identity(desk.store)).instance)

    async def round(self, count: int) -> None:
        """One round of housekeeping. Raises Fault when the store cannot be used."""
        desk = await self.desk(AUTHOR)
        for told in await local.reconcile(desk):
            log.warning("override of this host", result=told)
        await self.seed()
        found = await safety.check(desk.store)
        self.unsafe = found.warnings
        self.registry.gauge("redis_unsafe_config").n = 0 if found.safe else 1
        await self._measure(desk.store)
        if count % SWEEP_ROUNDS == 0:
            await workers.sweep(desk.store)
            await self._drop_stale(desk)

    async def _drop_stale(self, desk: Desk) -> None:
        """Captured exchanges that no shadow worker took within an hour go, whether or not one runs. A store of the shadow's own
        that is away is no trouble of this process."""
        with contextlib.suppress(Fault):
            async with results(desk) as store:
                dropped = await jobs.drop_stale(store, desk.now_ms)
            if dropped:
                self.registry.counter("shadow_stale_total").n += dropped
                log.warning("jobs of the shadow that nobody worked on for an hour are dropped", count=dropped)

    async def _measure(self, store: Store) -> None:
        states = await aliases.every(store)
        self.registry.know("alias", states)
        active = {(n, lane, p.release) for n, state in states.items() for lane, p in state.lanes.items()}
        for gone in self._active - active:
            self.registry.gauge("active_release", *gone).n = 0
        for one in active:
            self.registry.gauge("active_release", *one).n = 1
        self._active = active
        beats = await workers.listed(store, {name: state.version for name, state in states.items()})
        self.workers = sum(beat.alive for beat in beats)
        self.registry.gauge("workers_behind").n = sum(beat.alive and beat.behind > 0 for beat in beats)

    async def housekeeping(self) -> None:
        """Rounds until cancelled. A store that is away is said once, and that it is back once."""
        count = 0
        while True:
            await self.try_round(count)
            count += 1
            self._write()
            await asyncio.sleep(ROUND_SECONDS)

    async def learning(self) -> None:
        """Learn from what was sent, until cancelled. While the store is away, housekeeping says so; nothing is lost by it."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(Fault):
                await self.look()

    async def look(self) -> None:
        """One look at what was sent. Raises Fault when the store cannot be used."""
        found = await self.learner.look(await self.desk(AUTHOR))
        for (alias, leg), n in found.requests.items():
            self.registry.counter("undeclared_total", alias, leg).n += n
        for (alias, leg), n in found.standing.items():
            self.registry.gauge("undeclared_templates", alias, leg).n = n
        for alias, template in found.news:
            log.warning("a prompt or toolset that no release declares is sent", alias=alias, result=template)

    async def try_round(self, count: int) -> bool:
        """A round; False when the store could not be used, or something that it needs is refused."""
        try:
            await self.round(count)
        except DiskCopyError as error:
            log.error("the copy of the pointers cannot be read", problem=str(error))  # noqa: TRY400 - told to a person
            self.trouble, self.problem = "copy_unreadable", str(error)
            return False
        except Fault as fault:
            if self.trouble != fault.code:
                log.error(  # noqa: TRY400 - told to a person
                    "the store cannot be used, or a first release is refused", code=fault.code, problem=fault.message
                )
            self.trouble, self.problem = fault.code, fault.message
            return False
        if self.trouble:
            log.info("the store answers again")
        self.trouble = self.problem = ""
        return True

    def _write(self) -> None:
        try:
            self._writer.write(self.registry.snapshot())
        except OSError as error:
            log.warning("metrics could not be written", error=type(error).__name__)

    async def metrics(self) -> tuple[str, bytes]:
        """Content type and text of a scrape, merged over all processes of this host."""
        self._write()
        return exposition.CONTENT_TYPE, exposition.render(self._reader.read())

    async def ready(self) -> Readiness:
        """Red only while the store cannot be used: this port does its work there. Live traffic has its own readiness."""
        return Readiness(
            ready=not self.trouble,
            store=self.trouble or "ok",
            warnings=self.unsafe,
            workers=self.workers,
            config_version=self.loaded.config.version,
        )

    def admin(self) -> AdminSettings:
        """The admin settings in force."""
        return self.loaded.config.settings.admin

    async def close(self) -> None:
        """Leave the store."""
        if self._store is not None:
            await self._store.close()


def start(task: Assignment, line: Line) -> int:
    """Run the background process until it is told to end; returns the exit status."""
    try:
        loaded, problem = configured.read_or_last_good(path_or_none(task.config), path_or_none(task.good))
    except configured.Refused as error:
        return complain(line, str(error))
    logs.configure(secrets=secrecy.secrets(loaded.config.settings))
    if problem:
        log.error("configuration refused, started with the last good one", problem=problem)
    with asyncio.Runner() as runner:
        return runner.run(_serve(task, line, loaded))


async def _serve(task: Assignment, line: Line, loaded: Loaded) -> int:
    orders = Orders.listen(line)
    office = Office(loaded)
    backstage = Backstage(
        admin=office.admin,
        visit=office.visit,
        metrics=office.metrics,
        ready=office.ready,
        audit=office.audit,
        version=__version__,
    )
    runner = QuietRunner(build(backstage, tuple(OPERATIONS.values())))
    await runner.setup()
    host, port = split_address(task.listen or loaded.config.settings.admin.listen)
    try:
        await web.TCPSite(runner, host, port, reuse_port=True).start()
    except OSError as error:
        return complain(line, f"admin.listen: cannot listen on {host}:{port} ({error.strerror})")
    await _first_round(office)
    follower = Follower(loaded, office.adopt, office.registry)
    loop = conductor(lambda: office.desk(CONDUCTOR))
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(follower.follow(orders, line)),
            group.create_task(office.housekeeping()),
            group.create_task(office.learning()),
            group.create_task(conducting(loop, office.registry)),
            group.create_task(telling(lambda: office.desk(AUTHOR), office.registry, lambda: loop.leads)),
            group.create_task(following(lambda: office.desk(CONDUCTOR), office.registry, lambda: loop.leads)),
            group.create_task(proving(lambda: office.desk(AUTHOR), office.registry, lambda: loop.leads)),
            group.create_task(probing(lambda: office.desk(AUTHOR), office.registry, lambda: loop.leads)),
            group.create_task(watching(lambda: office.desk(AUTHOR), office.registry, lambda: loop.leads)),
        ]
        log.info("background process ready", address=f"{host}:{port}", config=loaded.config.version)
        line.tell("ready", port=port, message=office.problem)
        await orders.ending.wait()
        for each in running:
            each.cancel()
    await runner.cleanup()
    await office.close()
    return 0


async def _first_round(office: Office) -> None:
    """Workers start after this: give the store a moment to take the first releases, so that the first request finds them."""
    until = asyncio.get_running_loop().time() + SEED_SECONDS
    while not await office.try_round(1):
        if office.trouble not in PASSING or asyncio.get_running_loop().time() > until:
            return  # said in the log already; housekeeping goes on trying
        await asyncio.sleep(0.1)
