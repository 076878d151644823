"""The operations of proofs that releases can be called, as rows of the one table (`admin.operations`).

Rule of the file: no logic, as there.
"""

from __future__ import annotations

from typing import Any

from gateway.admin import asks
from gateway.admin.visit import Visit
from gateway.control import warm
from gateway.core.contract import sentinel
from gateway.sentinel.warm import ask_now

PROBE_SECONDS = 300.0
"""Limit of asking every release of an alias, one after the other."""


async def _list(visit: Visit, ask: asks.WarmList) -> list[sentinel.WarmRow]:
    return await warm.listed(visit.desk, ask.alias)


async def _probe(visit: Visit, ask: asks.WarmProbe) -> list[sentinel.WarmRow]:
    desk = visit.desk
    states = [await desk.alias(ask.alias)]
    await ask_now(desk.store, desk.settings, desk.data_port, lambda: desk.now_ms, states)
    return await warm.listed(desk, ask.alias)


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function, summary and, for what takes long, its limit in seconds."""
    r: Any = sentinel
    return (
        ("warm.list", "GET", "/warm", "read", asks.WarmList, list[r.WarmRow], _list, "Which releases a lane can go back to right now, and since when that is known."),
        ("warm.probe", "POST", "/aliases/{alias}/warm", "rollback", asks.WarmProbe, list[r.WarmRow], _probe, "Ask every release of an alias now.", PROBE_SECONDS),
    )  # fmt: skip
