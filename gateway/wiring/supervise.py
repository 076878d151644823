"""`trivet serve`: a supervisor of live workers, the background process and the embedded store.

Order is its whole business. Up: ports reserved, store, background and workers, and only when all are ready the banner. The
shadow comes after that, and nobody waits for it. Down: workers first (readiness red, listener closed, streams finish) and the
shadow with them, then the background process, the store last.
A process that dies in between is started again; the others do not notice.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from gateway.settings import secrecy
from gateway.settings.model import Settings
from gateway.store.embedded import EmbeddedError, EmbeddedServer
from gateway.telemetry import log as logs
from gateway.telemetry.spool import Reader
from gateway.wiring import configured, processes
from gateway.wiring.banner import Served
from gateway.wiring.children import STEADY_SECONDS, Child, pause_after, told
from gateway.wiring.listeners import PortTaken, Reserved
from gateway.wiring.process import ROLES, Assignment, join_address, split_address
from gateway.wiring.processes import Part, Processes

log = logs.Log("supervise")

READY_SECONDS = 60.0
"""How long the processes may take to become ready: the embedded store may have to read its log first."""
BACKGROUND_SECONDS = 5.0
"""What the background process gets to end."""
KILL_AFTER = 3.0
"""Seconds past the drain grace after which a worker that still lives is killed."""


class CannotServe(Exception):
    """The gateway did not start; the message says why and what to do."""

    code = 1
    """Exit code: 2 when it is the configuration that must be mended."""


class BadConfiguration(CannotServe):
    """The configuration cannot be used."""

    code = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve."""

    config: Path | None = None
    roles: tuple[str, ...] = ROLES
    share_port: bool = False
    """Join ports that another trivet of the same user serves, for a handover."""


@dataclass
class House:
    """Everything the supervisor runs."""

    plan: Plan
    loaded: configured.Loaded
    data: Reserved | None = None
    admin: Reserved | None = None
    store: EmbeddedServer | None = None
    workers: list[Child] = field(default_factory=list)
    background: Child | None = None
    shadow: Child | None = None
    ending: bool = False

    @property
    def settings(self) -> Settings:
        """The settings that were read last."""
        return self.loaded.config.settings

    @property
    def run_dir(self) -> Path:
        """Where processes leave what others of this host read."""
        return processes.run_dir(self.settings)

    @property
    def good(self) -> Path:
        """The last good copy of the configuration."""
        return self.run_dir / "last-good.yaml"

    @property
    def children(self) -> list[Child]:
        """All processes that run this program."""
        return [*self.workers, *(child for child in (self.background, self.shadow) if child is not None)]

    def follow(self) -> None:
        """A process took a new configuration: keep a copy of it for whichever process dies next."""
        try:
            fresh = configured.read(self.plan.config)
        except configured.Refused:
            return  # changed again meanwhile; the process that looks next will say so
        if fresh.config.version != self.loaded.config.version:
            self.loaded = fresh
            configured.remember(fresh.config, self.good)

    def write_processes(self) -> None:
        """Keep the file of processes true."""
        parts = {"supervisor": Part(os.getpid(), "ready")}
        for child in self.children:
            parts[child.name] = Part(child.pid, child.state, child.restarts)
        if self.store is not None:
            parts["store"] = Part(self.store.pid, "ready" if self.store.alive else "dead")
        data = join_address(self.data.host, self.data.port) if self.data is not None else ""
        admin = join_address(self.admin.host, self.admin.port) if self.admin is not None else ""
        processes.write(self.settings, Processes(data, admin, parts))


def run(plan: Plan, announce: Callable[[Served], None]) -> None:
    """Serve until told to end. Raises CannotServe when it cannot start, and ends everything it started first."""
    anyio.run(_serve, plan, announce)


async def _serve(plan: Plan, announce: Callable[[Served], None]) -> None:
    try:
        house = House(plan, configured.read(plan.config))
    except configured.Refused as error:
        raise BadConfiguration(str(error)) from error
    logs.configure(secrets=secrecy.secrets(house.settings))
    if processes.read(house.settings) is None:
        Reader(house.run_dir / "metrics", time.time).clear()  # noqa: TID251 - wiring reads the clocks
    configured.remember(house.loaded.config, house.good)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        try:
            _reserve(house)
            async with _store(house), anyio.create_task_group() as group:
                _hire(house)
                if house.store is not None:
                    group.start_soon(_keep_store, house)
                try:
                    failure = await _up(house, signals, group)
                    if failure is None:
                        if house.shadow is not None:
                            group.start_soon(house.shadow.keep)
                        announce(_served(house))
                        await _until_told(house, signals)
                finally:
                    with anyio.CancelScope(shield=True):
                        await _down(house, signals)
                    group.cancel_scope.cancel()
            if failure:
                raise CannotServe(failure)
        finally:
            for held in (house.data, house.admin):
                if held is not None:
                    held.close()
            processes.remove(house.settings, os.getpid())


def _reserve(house: House) -> None:
    settings, plan = house.settings, house.plan
    try:
        if "live" in plan.roles:
            house.data = Reserved(*split_address(settings.listen), share=plan.share_port, setting="listen")
        if "control" in plan.roles:
            house.admin = Reserved(*split_address(settings.admin.listen), share=plan.share_port, setting="admin.listen")
    except (PortTaken, ValueError) as error:
        raise CannotServe(str(error)) from error


@asynccontextmanager
async def _store(house: House) -> AsyncIterator[None]:
    """Run the embedded store around everything else, when it is used."""
    if house.settings.store.redis != "embedded":
        yield
        return
    server = EmbeddedServer(house.settings.store.data_dir)
    try:
        await server.start()
    except EmbeddedError as error:
        raise CannotServe(str(error)) from error
    house.store = server
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            if not await server.stop():
                log.error("the embedded store had to be killed; its append-only file holds all but the last second")


async def _keep_store(house: House) -> None:
    """Start the embedded store again when it ends; live traffic goes on meanwhile (the host log takes its place)."""
    server = house.store
    assert server is not None
    deaths = 0
    while True:
        started = anyio.current_time()
        status = await server.wait()
        if house.ending:
            return
        house.write_processes()
        log.error("the embedded store ended and is started again", exit=told(status))
        while not server.alive:
            deaths += 1
            await anyio.sleep(pause_after(deaths))
            try:
                await server.start()
            except EmbeddedError as error:
                log.error("the embedded store does not start", problem=str(error))  # noqa: TRY400 - the message is the whole story
        house.write_processes()
        if anyio.current_time() - started >= STEADY_SECONDS:
            deaths = 0


def _hire(house: House) -> None:
    """Decide which processes there are; none is started yet."""
    config, good = str(house.plan.config or ""), str(house.good.absolute())
    if house.data is not None:
        address = join_address(house.data.host, house.data.port)
        house.workers = [
            Child(Assignment("live", slot, config, address, good))
            for slot in range(max(1, house.settings.serve.workers))
        ]
    if house.admin is not None:
        address = join_address(house.admin.host, house.admin.port)
        house.background = Child(Assignment("control", 0, config, address, good))
    if "shadow" in house.plan.roles:
        house.shadow = Child(Assignment("shadow", 0, config, "", good))
    for child in house.children:
        child.changed = house.write_processes
        child.reloaded = house.follow


async def _up(house: House, signals: AsyncIterator[signal.Signals], home: TaskGroup) -> str | None:
    """Start every process and wait until it is ready: None. Else why not; empty when told to end before that.

    The background process comes first: workers then find the first releases of the configuration.
    """
    ordered = False

    async def listen() -> None:
        nonlocal ordered
        async for number in signals:
            if number is not signal.SIGHUP:
                ordered = True
                group.cancel_scope.cancel()
                return

    with anyio.move_on_after(READY_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            for part in ([house.background] if house.background is not None else [], house.workers):
                for child in part:
                    home.start_soon(child.keep)
                for child in part:
                    await child.ready.wait()
            group.cancel_scope.cancel()
    if ordered:
        return ""
    for child in house.children:
        if child is house.shadow:
            continue  # not started yet, and nobody waits for it
        if child.refusal:
            return child.refusal
        if not child.ready.is_set():
            return f"{child.name} did not become ready within {READY_SECONDS:.0f} s"
    return None


async def _until_told(house: House, signals: AsyncIterator[signal.Signals]) -> None:
    """Serve; SIGHUP makes every process read the configuration again, SIGTERM and SIGINT return."""
    async for number in signals:
        if number is not signal.SIGHUP:
            log.info("ending", signal=number.name)
            return
        for child in house.children:
            child.send(signal.SIGHUP)


async def _down(house: House, signals: AsyncIterator[signal.Signals]) -> None:
    """End everything in order. A second signal kills at once what is left."""
    house.ending = True
    grace = house.settings.serve.drain + house.settings.serve.notice + KILL_AFTER

    async def hurry() -> None:
        async for number in signals:
            if number is not signal.SIGHUP:
                log.warning("told twice: ending at once", signal=number.name)
                for child in house.children:
                    child.end()
                    child.send(signal.SIGKILL)

    async def end_worker(child: Child) -> None:
        if not await child.end_within(grace):
            log.error("worker did not drain in time and was killed", name=child.name)

    async with anyio.create_task_group() as group:
        group.start_soon(hurry)
        async with anyio.create_task_group() as drains:
            for child in house.workers:
                if child.state != "new":
                    drains.start_soon(end_worker, child)
            if house.shadow is not None and house.shadow.state != "new":
                drains.start_soon(house.shadow.end_within, BACKGROUND_SECONDS)
        if (
            house.background is not None
            and house.background.state != "new"
            and not await house.background.end_within(BACKGROUND_SECONDS)
        ):
            log.error("the background process did not end in time and was killed")
        group.cancel_scope.cancel()


def _served(house: House) -> Served:
    return Served(
        settings=house.settings,
        warnings=(*house.loaded.warnings, *(child.note for child in house.children if child.note)),
        data=join_address(house.data.host, house.data.port) if house.data is not None else "",
        admin=join_address(house.admin.host, house.admin.port) if house.admin is not None else "",
        workers=len(house.workers),
        store_pid=house.store.pid if house.store is not None else 0,
        config=str(house.plan.config or ""),
        python=sys.version.split()[0],
    )
