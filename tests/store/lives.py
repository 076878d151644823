"""Live stores for tests, and the records they write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Step
from gateway.core.contract.release import Release, Triple
from gateway.core.contract.run import Source, Stamp
from gateway.settings.model import RunSettings, StoreSettings
from gateway.store.bind import BindRequest, Bound
from gateway.store.counters import StoreCounters
from gateway.store.keys import Keys
from gateway.store.live import LiveStore
from gateway.store.records import alias_fields, encode_release
from gateway.store.resp import Parser, pack
from gateway.store.scripts import CREATE_ALIAS, WRITE_POINTER
from gateway.wire.flow import run
from tests.store.servers import RealRedis

KEYS = Keys()


def now_ms() -> int:
    """Wall clock, milliseconds."""
    return time.time_ns() // 1_000_000


def stamp(name: str, release: str = "rel_1", *, source: Source = Source.HEADER, at: int = 0, alias: str = "a") -> Stamp:
    """A stamp of tenant `t`; `model` follows the release."""
    return Stamp(
        tenant="t",
        run=name,
        alias=alias,
        release=release,
        model=f"openai/{release}",
        source=source,
        at_ms=at or now_ms(),
    )


def step(alias: str = "a", request: str = "req_1") -> Step:
    """A step that went well."""
    return Step(request, 1, alias, "rel_1", "gpt", "openai/rel_1", "gpt-x", Outcome.OK, 200, now_ms(), 2.0)


def release(name: str = "rel_1", blocked: str = "") -> Release:
    """A release record with a made-up id."""
    return Release(id=name, triple=Triple(model=f"openai/{name}"), blocked=blocked)


def state(version: int = 1, name: str = "a", lane: str = "rel_1") -> AliasState:
    """An alias whose everyone-lane points at `lane`."""
    return AliasState(name=name, version=version, lanes={"*": Lane(lane)})


async def bind(live: LiveStore, want: Stamp, **more: Any) -> Bound:
    """Bind from asyncio code."""
    return await run(live.bind(BindRequest(want, **more)))


async def until(condition: Callable[[], object], seconds: float = 5.0) -> float:
    """Wait for a condition; how long it took. Fails after `seconds`."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "did not happen in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - begun


def settled(live: LiveStore) -> bool:
    """Whether the store answers and has everything the host log has."""
    return live.up and live._bulk_line.up and not live._binder.unsettled


@asynccontextmanager
async def opened(url: str, data_dir: Path, worker: str = "w1", **more: Any) -> AsyncIterator[LiveStore]:
    """A started live store."""
    runs = more.pop("runs", RunSettings())
    live = LiveStore(StoreSettings(redis=url, data_dir=str(data_dir), **more), runs, worker, StoreCounters())
    await live.start()
    try:
        yield live
    finally:
        await live.close()


class Command:
    """Commands to a server over a plain socket, for looking and meddling."""

    def __init__(self, server: RealRedis) -> None:
        self._server = server

    def __call__(self, *parts: bytes | str | int) -> Any:
        import socket  # noqa: PLC0415

        with socket.create_connection(("127.0.0.1", self._server.port), timeout=5) as link:
            link.sendall(pack(*parts))
            parser = Parser()
            while not (replies := parser.feed(link.recv(65536))):
                pass
            return replies[0]

    def create(self, value: AliasState) -> None:
        """Make an alias as the control side does."""
        for lane in value.lanes.values():
            self("SET", KEYS.release(lane.release), encode_release(release(lane.release)), "NX")
        self("SADD", KEYS.aliases(), value.name)
        fields = [part for pair in alias_fields(value).items() for part in pair]
        keys = (KEYS.alias(value.name), KEYS.history(value.name))
        self("EVAL", CREATE_ALIAS, 2, *keys, KEYS.pointers(), value.name, 2, "actor", "test", *fields)

    def move(self, value: AliasState, *, with_release: bool = True) -> Any:
        """Write a pointer: `value.version` is the new version."""
        if with_release:
            for lane in value.lanes.values():
                self("SET", KEYS.release(lane.release), encode_release(release(lane.release)), "NX")
        fields = [part for pair in alias_fields(value).items() for part in pair]
        keys = (KEYS.alias(value.name), KEYS.history(value.name))
        arguments = (value.version - 1, "", KEYS.pointers(), value.name, 2, "actor", "test")
        return self("EVAL", WRITE_POINTER, 2, *keys, *arguments, *fields)
