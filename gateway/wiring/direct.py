"""Operations straight on the store, when the admin port is not there: same table, same rules, same history.

Rule of the file: this is for a person on the gateway's machine, who could read its files anyway; the actor is `local:USER`.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec

from gateway.admin.asks import Rollback
from gateway.admin.rights import LOCAL, Actor
from gateway.admin.table import Operation
from gateway.admin.visit import Visit
from gateway.control import aliases, local
from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import Moved, Safety
from gateway.settings import tables
from gateway.settings.load import Config
from gateway.settings.model import ADMIN_RIGHTS
from gateway.store import safety
from gateway.store.client import Store
from gateway.wiring import configured, processes
from gateway.wiring.dataport import data_port
from gateway.wiring.process import join_address, split_address


class Unreachable(Exception):
    """The store does not answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What `check --live` finds."""

    store: Safety
    aliases: dict[str, str]
    """Alias to what the store knows of it."""


def admin_address(path: Path | None) -> str:
    """URL of the admin port of the gateway that this configuration names. Raises configured.Refused."""
    settings = configured.read(path).config.settings
    found = processes.admin_address(settings) or settings.admin.listen
    host, port = split_address(found)
    return f"http://{join_address({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}"  # noqa: S104 - read, not bound


def perform(path: Path | None, operation: Operation, ask: msgspec.Struct) -> Any:
    """Do an operation. Raises Fault as the operation does, configured.Refused for the configuration."""
    config = configured.read(path).config
    actor = _actor()

    async def work(desk: Desk) -> Any:
        return await operation.run(Visit(actor, desk, config), ask)

    return anyio.run(_with_desk, config, work)


def roll_back_here(path: Path | None, ask: Rollback) -> Moved:
    """Roll back for the workers of this host only, while the store is dead. Raises Fault, configured.Refused."""
    config = configured.read(path).config

    async def work(desk: Desk) -> Moved:
        return await local.rollback_here(desk, ask.alias, ask.reason, lane=ask.lane, to=ask.to)

    moved: Moved = anyio.run(_with_desk, config, work)
    return moved


def look(path: Path | None) -> Seen:
    """What the store says about itself and about the aliases of the configuration. Raises Unreachable."""
    config = configured.read(path).config

    async def work(desk: Desk) -> Seen:
        told = await safety.check(desk.store)
        known = {row.name: row for row in await aliases.listed(desk)}
        found: dict[str, str] = {}
        for name, declared in config.settings.aliases.items():
            row = known.get(name)
            found[name] = f"version {row.version}" if row else f"new: will start with {declared.first_release.model}"
            if row is not None and row.stakes is not declared.stakes:
                found[name] += f", stakes change from {row.stakes.value} to {declared.stakes.value}"
        found |= {name: f"version {row.version}, not in the file" for name, row in known.items() if name not in found}
        return Seen(told, found)

    try:
        seen: Seen = anyio.run(_with_desk, config, work)
    except Fault as fault:
        raise Unreachable(fault.message) from fault
    return seen


def _actor() -> Actor:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""  # a container's user may have no name
    return Actor(f"{LOCAL}:{user}" if user else LOCAL, frozenset(ADMIN_RIGHTS))


async def _with_desk(config: Config, work: Callable[[Desk], Awaitable[Any]]) -> Any:
    store = Store(config.settings.store)
    try:
        now_ms = time.time_ns() // 1_000_000
        port = partial(data_port, config.settings)
        return await work(Desk(store, config.settings, tables.pinning(), _actor().name, now_ms, port))
    finally:
        await store.close()
