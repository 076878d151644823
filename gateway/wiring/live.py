"""A live worker: builds settings, pinning table, store, providers and server once, and joins them with the handler.

Imports nothing of the control side: no aiohttp, redis, rich, cyclopts, prometheus_client. A test says so, and memory shows it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import __version__
from gateway.live.handler import Handler
from gateway.live.identity import Identities
from gateway.live.learn import PinLearner
from gateway.live.ledger import Ledger
from gateway.live.meters import Meters
from gateway.live.notice import Notices
from gateway.live.refuse import refusal
from gateway.live.view import View
from gateway.live.worker import Worker
from gateway.settings import secrecy, tables
from gateway.settings.model import Settings
from gateway.store.counters import StoreCounters
from gateway.store.live import LiveStore
from gateway.telemetry import log as logs
from gateway.telemetry.counters import Registry
from gateway.telemetry.spool import Writer
from gateway.upstream.call import Upstreams
from gateway.wire.counters import WireCounters
from gateway.wire.deadlines import Sweeper
from gateway.wire.errors import BadMessage
from gateway.wire.server import Server, ServerLimits
from gateway.wire.tls import listener_context
from gateway.wiring import configured, readings
from gateway.wiring.configured import Loaded
from gateway.wiring.process import Assignment, Line, Orders, complain, path_or_none, split_address
from gateway.wiring.reload import Follower
from gateway.wiring.stamp_keys import NoStampKey, stamp_keys

log = logs.Log("live")

MMAP_THRESHOLD = 64 << 20
TRIM_THRESHOLD = 256 << 20
"""What malloc keeps for itself: without these two, bodies of 64 KB are mapped and unmapped per request (195 to 104 us)."""
TRIM_SECONDS = 10.0
"""How often what malloc keeps and nobody uses goes back to the system: that takes a millisecond for each 20 MB."""
SPOOL_SECONDS = 1.0
DESCRIPTORS_ASIDE = 64
"""Descriptors that are not client connections or their upstream calls: store, log files, listeners."""
MOST_CONNECTIONS = 16_384


@dataclass(slots=True)
class Parts:
    """Everything a live worker is made of."""

    task: Assignment
    loaded: Loaded
    registry: Registry
    store: LiveStore
    upstreams: Upstreams
    worker: Worker
    server: Server
    learner: PinLearner
    spool: Writer
    ledger: Ledger
    incarnation: str
    """Names this process in what workers tell each other, and no later process."""


def start(task: Assignment, line: Line) -> int:
    """Run a live worker until it is told to end; returns the exit status."""
    raise_thresholds()
    raise_descriptors()
    try:
        loaded, problem = configured.read_or_last_good(path_or_none(task.config), path_or_none(task.good))
        keys = stamp_keys(loaded.config.settings)
    except (configured.Refused, NoStampKey) as error:
        return complain(line, str(error))
    logs.configure(secrets=secrecy.secrets(loaded.config.settings))
    if problem:
        log.error("configuration refused, started with the last good one", problem=problem)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(task, line, loaded, keys))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; plain asyncio costs 5 to 15 percent more."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(task: Assignment, line: Line, loaded: Loaded, keys: tuple[bytes, ...]) -> int:
    orders = Orders.listen(line)
    parts = await build(task, loaded, keys)
    worker, server, settings = parts.worker, parts.server, loaded.config.settings
    follower = Follower(loaded, lambda fresh: adopt(parts, fresh), parts.registry)
    host, port = split_address(task.listen or settings.listen)
    try:
        bound = await server.listen(host, port, reuse_port=True)
    except OSError as error:
        await parts.store.close()
        return complain(line, f"listen: cannot listen on {host}:{port} ({error.strerror})")
    gc.collect()
    gc.freeze()  # what is alive now stays: collections during traffic need not walk it
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(follower.follow(orders, line)),
            group.create_task(spool(parts)),
            group.create_task(trim()),
            group.create_task(parts.learner.work()),
            group.create_task(_notice(parts.worker)),
            group.create_task(parts.ledger.follow(parts.store, parts.incarnation, worker.clock, worker.now_ms)),
        ]
        log.info("worker ready", name=task.name, address=f"{host}:{bound}", config=loaded.config.version)
        line.tell("ready", port=bound)
        await orders.ending.wait()
        line.tell("draining")
        log.info("worker drains", name=task.name, count=server.active)
        worker.draining = True
        parts.registry.gauge("draining").n = 1
        serve = parts.loaded.config.settings.serve
        await asyncio.sleep(serve.notice)
        await server.drain(serve.drain)
        for each in running:
            each.cancel()
    await parts.ledger.exchange(parts.store, parts.incarnation, worker.clock(), worker.now_ms(), every=True)
    await parts.store.close()
    parts.upstreams.close()
    parts.registry.gauge("draining").n = 0
    parts.spool.write(parts.registry.snapshot())
    log.info("worker ended", name=task.name)
    return 0


async def build(task: Assignment, loaded: Loaded, keys: tuple[bytes, ...]) -> Parts:
    """Make every part, and start the store. Nothing listens yet."""
    settings = loaded.config.settings
    registry = Registry()
    sweeper = Sweeper()
    store_counters, wire_counters = StoreCounters(), WireCounters()
    store = LiveStore(settings.store, settings.runs, worker_id(task), store_counters, shadow=settings.shadow)
    await store.start()
    upstreams = Upstreams(settings, sweeper, registry, wall=time.time)  # noqa: TID251 - wiring reads the clocks
    meters = Meters(registry, log.error)
    ledger, prices = Ledger(settings.serve.workers), tables.prices()
    view = View(settings, tables.pinning(), keys, loaded.config.version, prices=prices, ledger=ledger)
    worker = Worker(
        view=view,
        store=store,
        upstreams=upstreams,
        meters=meters,
        now_ms=lambda: time.time_ns() // 1_000_000,
        clock=time.monotonic,
        request_id=request_ids(),
    )
    learner = PinLearner(store, upstreams, worker.now_ms, lambda name, model: _learned(registry, name, model))
    worker.learner = learner
    worker.identities = Identities(store.identities)
    worker.notices = Notices(store.sightings, worker.now_ms, on=settings.undeclared.learn != "off")
    next_id = worker.request_id

    def refuse(bad: BadMessage, path: str) -> tuple[int, bytes, bytes]:
        return refusal(bad, next_id(), worker.view.route(path).dialect if path else "")

    server = Server(
        Handler(worker),
        refuse,
        limits(settings),
        wire_counters,
        own_hosts(task.listen or settings.listen),
        listener_context(settings.tls.certificate, settings.tls.key) if settings.tls is not None else None,
        sweeper,
    )
    server.on_error = lambda error: meters.failed("", error)
    registry.source(readings.wire(wire_counters, lambda: server.connections))
    registry.source(readings.store(store_counters))
    registry.source(readings.limits(ledger))
    registry.gauge("build_info", __version__).n = 1
    registry.gauge("processes", "live").n = 1
    _know(registry, settings)
    registry.gauge("config_version", loaded.config.version).n = 1
    folder = Path(settings.store.data_dir) / "run" / "metrics"
    return Parts(
        task,
        loaded,
        registry,
        store,
        upstreams,
        worker,
        server,
        learner,
        Writer(folder, f"live{task.slot}", os.getpid()),
        ledger,
        f"{worker_id(task)}:{secrets.token_hex(4)}",
    )


def adopt(parts: Parts, fresh: Loaded) -> None:
    """Put a new configuration in force: providers first, then the view in one assignment. Requests at hand keep theirs."""
    settings, old = fresh.config.settings, parts.worker.view
    parts.upstreams.renew(settings)
    parts.store.offers.renew(settings.shadow)
    try:
        keys = stamp_keys(settings)
    except NoStampKey:
        keys = old.stamp_keys
    version = fresh.config.version
    parts.worker.view = View(settings, old.pins, keys, version, prices=old.prices.table, ledger=parts.ledger)
    if parts.worker.notices is not None:
        parts.worker.notices.on = settings.undeclared.learn != "off"
    _know(parts.registry, settings)
    parts.registry.gauge("config_version", parts.loaded.config.version).n = 0
    parts.registry.gauge("config_version", fresh.config.version).n = 1
    parts.loaded = fresh


async def _notice(worker: Worker) -> None:
    if worker.notices is not None:
        await worker.notices.work()


async def spool(parts: Parts) -> None:
    """Once a second write this process's numbers and let what is told of answers be told, until cancelled. A full disk costs the
    numbers, nothing else."""
    while True:
        parts.registry.know("alias", parts.store.pointers.aliases)
        if parts.worker.identities is not None:
            parts.worker.identities.tick()
        try:
            parts.spool.write(parts.registry.snapshot())
        except OSError as error:
            log.warning("metrics could not be written", error=type(error).__name__)
        await asyncio.sleep(SPOOL_SECONDS)


def worker_id(task: Assignment) -> str:
    """A worker's name in the store: the same after a restart by its supervisor, so that nobody waits for the dead one."""
    return f"{socket.gethostname()}:{os.getppid()}:{task.name}"


def request_ids() -> Callable[[], str]:
    """Ids that are unique over workers and restarts and ordered within one: a random beginning and a counter."""
    stem = f"req_{secrets.token_hex(6)}"
    count = 0

    def next_id() -> str:
        nonlocal count
        count += 1
        return f"{stem}{count:08x}"

    return next_id


def limits(settings: Settings) -> ServerLimits:
    """What a client may take: the configuration's times, and connections by the descriptors this process may have."""
    serve = settings.serve
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else (soft - DESCRIPTORS_ASIDE) // 2
    return ServerLimits(
        head_seconds=serve.head_timeout,
        body_seconds=serve.body_timeout,
        idle_seconds=serve.idle_timeout,
        write_seconds=serve.write_timeout,
        connections=max(16, min(MOST_CONNECTIONS, room)),
    )


def own_hosts(listen: str) -> frozenset[str]:
    """Authorities that absolute-form targets may name."""
    host, port = split_address(listen)
    names = {host, "localhost", "127.0.0.1", "[::1]", socket.gethostname()}
    return frozenset(name.lower() for each in names for name in (each, f"{each}:{port}"))


def raise_thresholds() -> None:
    """Let malloc keep its memory between requests (glibc; nothing elsewhere)."""
    mallopt = _of_malloc("mallopt")
    if mallopt is not None:
        mallopt(-3, MMAP_THRESHOLD)  # M_MMAP_THRESHOLD
        mallopt(-1, TRIM_THRESHOLD)  # M_TRIM_THRESHOLD


async def trim(seconds: float = TRIM_SECONDS) -> None:
    """Have malloc give back what it keeps unused, again and again until cancelled: of a burst of long bodies it would keep
    TRIM_THRESHOLD for good, and little holes without end (glibc; nothing elsewhere)."""
    malloc_trim = _of_malloc("malloc_trim")
    while malloc_trim is not None:
        await asyncio.sleep(seconds)
        malloc_trim(0)


def _of_malloc(name: str) -> Callable[..., int] | None:
    """A function of glibc's malloc; None where there is another C library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return function


def raise_descriptors() -> None:
    """Use as many descriptors as the system allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        pass  # the lower limit holds, and with it the connection cap


def _know(registry: Registry, settings: Settings) -> None:
    registry.know("alias", settings.aliases)
    registry.know("provider", settings.providers)
    registry.know("tenant", settings.tenants)


def _learned(registry: Registry, name: str, model: str) -> None:
    registry.counter("learned_total", "pinned").n += 1
    log.info("learned: this floating name is a pinned alias now", alias=name, model=model)
