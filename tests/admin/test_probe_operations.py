"""The row of probes, on a real store."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.admin.asks import DriftProbe
from gateway.admin.operations import OPERATIONS
from gateway.admin.rights import Actor
from gateway.admin.visit import Visit
from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from tests.control.conftest import Place, desk, made, package_redis, pins, placed

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


async def test_it_needs_prompts(desk: Desk, placed: Place) -> None:
    """An alias that declares none is told how to."""
    await placed("agent", {"*": "A"})
    operation = OPERATIONS["drift.probe"]
    assert (operation.method, operation.right) == ("POST", "rollout")
    visit = Visit(Actor("alice", frozenset({"rollout"})), desk, cast(Any, None))
    with pytest.raises(Fault) as refused:
        await operation.run(visit, DriftProbe("agent"))
    assert refused.value.code == "probes_undeclared"
    with pytest.raises(Fault, match="alias_unknown"):
        await operation.run(visit, DriftProbe("nobody"))
