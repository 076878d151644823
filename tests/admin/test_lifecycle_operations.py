"""The calendar's rows of the table, on a real store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from gateway.admin.operations import OPERATIONS
from gateway.admin.rights import Actor
from gateway.admin.table import Nothing
from gateway.admin.visit import Visit
from gateway.control.desk import Desk
from gateway.core.pinning.lifecycle import day
from tests.control.conftest import Place, desk, made, package_redis, pins, placed

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.mark.parametrize("name", ["lifecycle.list", "lifecycle.plan"])
async def test_the_calendar_travels(desk: Desk, placed: Place, name: str) -> None:
    """Both are there to read, and their records come through HTTP as they were."""
    await placed("agent", {"*": "BA"})
    operation = OPERATIONS[name]
    assert (operation.method, operation.right, operation.changes) == ("GET", "read", False)
    visit = Visit(
        Actor("alice", frozenset({"read"})), replace(desk, now_ms=day("2026-11-23") * 86_400_000), cast(Any, None)
    )
    answer = await operation.run(visit, Nothing())
    assert answer
    assert msgspec.json.decode(msgspec.json.encode(answer), type=operation.answer) == answer
