"""Drift's rows of the table, on a real store."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from gateway.admin.asks import DriftAck, DriftList
from gateway.admin.operations import OPERATIONS
from gateway.admin.rights import Actor
from gateway.admin.visit import Visit
from gateway.control.desk import Desk
from gateway.core.contract.sentinel import Alarm
from gateway.core.pinning.identity import opened
from gateway.store import epochs
from tests.control.conftest import MODELS, Place, desk, made, package_redis, pins, placed

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


async def test_drift_travels(desk: Desk, placed: Place) -> None:
    """Looking is a read, acknowledging is for who may roll out; records come through HTTP as they were."""
    await placed("agent", {"*": "A"})
    await epochs.change(desk.store, MODELS["A"], lambda known: opened(known, Alarm.MODEL, "a", "b", "words", 1))
    visit = Visit(Actor("alice", frozenset({"read", "rollout"})), desk, cast(Any, None))
    for name, ask, right in (
        ("drift.status", DriftList(), "read"),
        ("drift.ack", DriftAck(MODELS["A"], "why"), "rollout"),
    ):
        operation = OPERATIONS[name]
        assert (operation.right, operation.changes) == (right, right != "read")
        answer = await operation.run(visit, ask)
        assert answer
        assert msgspec.json.decode(msgspec.json.encode(answer), type=operation.answer) == answer
