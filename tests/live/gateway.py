"""A whole live path in this process: real sockets, a real store, a scripted provider. For tests that want to look inside.

Tests of what a user sees run against the real process instead (`tests/faults`, `tests/end_to_end`).
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from gateway.core.contract.alias import AliasState, Lane, SideEffects, Split, Stakes
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import PinClass, Release, Triple, release_id
from gateway.live.handler import Handler
from gateway.live.meters import Meters
from gateway.live.refuse import refusal
from gateway.live.view import View
from gateway.live.worker import Worker
from gateway.settings import tables
from gateway.settings.model import Settings
from gateway.store import aliases, recovery, releases
from gateway.store.client import Store
from gateway.store.counters import StoreCounters
from gateway.store.live import LiveStore
from gateway.telemetry.counters import Registry, flat
from gateway.upstream.call import Upstreams
from gateway.wire import flow
from gateway.wire.counters import WireCounters
from gateway.wire.deadlines import Sweeper
from gateway.wire.server import Server, ServerLimits

T = TypeVar("T")
STAMP_KEY = b"0123456789abcdef0123456789abcdef"


@dataclass
class Got:
    """An answer as the client saw it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def release(model: str, **more: Any) -> Release:
    """A pinned release of one model."""
    triple = Triple(model, **more)
    return Release(release_id(triple), triple, PinClass.PINNED)


class LiveGateway:
    """Runs in a thread with a loop of its own."""

    def __init__(self, redis_url: str, data_dir: Path, providers: dict[str, Any], **settings: Any) -> None:
        store = {"redis": redis_url, "data_dir": str(data_dir)}
        self.settings = msgspec.convert({"store": store, "providers": providers, **settings}, Settings)
        self.registry = Registry()
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.call(self._start())
        return self

    def __exit__(self, *_exc: object) -> None:
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run asyncio work on the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def flow(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine made of waits on the gateway's loop."""

        async def bridge() -> T:
            return await flow.run(coroutine)

        return self.call(bridge())

    async def _start(self) -> None:
        view = View(self.settings, tables.pinning(), (STAMP_KEY,), "test")
        self.sweeper = Sweeper(0.05)
        self.store = LiveStore(
            self.settings.store, self.settings.runs, "test-worker", StoreCounters(), shadow=self.settings.shadow
        )
        self.store.pointers.lease_seconds = 300.0  # one sign of life of the control process is enough for a test
        await self.store.start()
        self.upstreams = Upstreams(self.settings, self.sweeper, self.registry)
        ids = itertools.count(1)
        self.worker = Worker(
            view=view,
            store=self.store,
            upstreams=self.upstreams,
            meters=Meters(self.registry, lambda text, **fields: self.logged.append((text, fields))),
            now_ms=lambda: int(time.time() * 1000),
            clock=time.monotonic,
            request_id=lambda: f"t{next(ids)}",
        )
        own = frozenset({"localhost"})
        self.server = Server(
            Handler(self.worker),
            lambda bad, path: refusal(bad, "refused", self.worker.view.route(path).dialect if path else ""),
            ServerLimits(),
            WireCounters(),
            own,
            None,
            self.sweeper,
        )
        self.port = await self.server.listen("127.0.0.1", 0)

    async def _stop(self) -> None:
        await self.server.drain(0.1)
        self.upstreams.close()
        await self.store.close()
        self.sweeper.close()

    def ready(self) -> Self:
        """Give the store its identity, as the control side does at its start, and wait until the worker has pointers."""
        self.call(self._identify())
        self.wait(lambda: self.store.pointers.known)
        return self

    async def _identify(self) -> None:
        control = Store(self.settings.store)
        await recovery.identify(control)
        await control.close()

    def alias(self, name: str, kept: Release, **more: Any) -> AliasState:
        """Create an alias that serves `kept` to everyone, and wait until the worker knows it."""
        lanes = more.pop("lanes", {"*": Lane(kept.id)})
        state = AliasState(name, 1, lanes, **{"stakes": Stakes.STANDARD, **more})
        # A busy machine may use up the store's limit of 100 ms; what was sent in vain is sent again.
        self.wait(
            lambda: self.flow(self.store.create_alias(state, kept)) or self.store.pointers.alias(name) is not None
        )
        self.wait(lambda: self.store.pointers.alias(name) is not None)
        return state

    def move(self, after: AliasState, kept: Release) -> None:
        """Write a pointer as the control side does, and wait until the worker serves it."""
        self.call(self._move(after, kept))
        self.wait(lambda: self.store.pointers.alias(after.name) == after)
        if after.split is not None and after.split.weight:
            self.lead()
        known = self.store.pointers.release
        self.wait(lambda: not kept.blocked or getattr(known(kept.id), "blocked", ""))

    async def _move(self, after: AliasState, kept: Release) -> None:
        control = Store(self.settings.store)
        await releases.put(control, kept)
        if kept.blocked:
            await releases.block(control, kept.id, kept.blocked)
        before = await aliases.get(control, after.name)
        assert before is not None
        entry = HistoryEntry(1, "test", "promote", "test", after.version, before, after, operation=f"op{after.version}")
        await aliases.write(control, before, after, entry)
        await control.close()

    def lead(self) -> None:
        """Give the sign of life that the control process gives, and wait until weights are in force."""
        self.call(self._lead())
        self.wait(lambda: time.monotonic() < self.store.pointers.lease_until)

    async def _lead(self) -> None:
        control = Store(self.settings.store)
        seconds, micro = (int(each) for each in await control.do("TIME"))
        await control.do("HSET", control.keys.control(), "at_ms", seconds * 1000 + micro // 1000)
        await control.close()

    def wait(self, true: Any, seconds: float = 5.0) -> None:
        """Wait until a condition holds."""
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.005)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, timeout: float = 10
    ) -> Got:
        """One request on a connection of its own."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        fields = {"content-type": "application/json"} if data is not None else {}
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            link.request(method, path, data, {**fields, **(headers or {})})
            answer = link.getresponse()
            return Got(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            link.close()

    def chat(self, model: str, headers: dict[str, str] | None = None, **more: Any) -> Got:
        """One chat completion."""
        messages = more.pop("messages", [{"role": "user", "content": "Hello?"}])
        return self.request("POST", "/v1/chat/completions", {"model": model, "messages": messages, **more}, headers)

    @property
    def counted(self) -> dict[str, float]:
        """All numbers of the registry."""
        return flat(self.registry.snapshot())


__all__ = ["Got", "LiveGateway", "SideEffects", "Split", "Stakes", "release"]
