"""The operations of the retirement calendar, as rows of the one table (`admin.operations`).

Rule of the file: no logic, as there.
"""

from __future__ import annotations

from typing import Any

from gateway.admin.table import Nothing
from gateway.admin.visit import Visit
from gateway.control import lifecycle
from gateway.core.contract import sentinel


async def _list(visit: Visit, _: Nothing) -> list[sentinel.LifecycleRow]:
    return await lifecycle.listed(visit.desk)


async def _plan(visit: Visit, _: Nothing) -> list[sentinel.LifecyclePath]:
    return await lifecycle.paths(visit.desk)


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function and summary of each."""
    r: Any = sentinel
    return (
        ("lifecycle.list", "GET", "/lifecycle", "read", Nothing, list[r.LifecycleRow], _list, "When the models of releases in use retire."),
        ("lifecycle.plan", "GET", "/lifecycle/plan", "read", Nothing, list[r.LifecyclePath], _plan, "The commands that lead from each model that retires to its successor."),
    )  # fmt: skip
