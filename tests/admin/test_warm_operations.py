"""The rows of proofs, on a real store."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from gateway.admin.asks import WarmList, WarmProbe
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


async def test_proofs_travel(desk: Desk, placed: Place) -> None:
    """Reading asks nobody; asking needs the right of a rollback and a data port."""
    await placed("agent", {"*": "BA"})
    listing, probe = OPERATIONS["warm.list"], OPERATIONS["warm.probe"]
    assert (listing.method, listing.right, probe.method, probe.right) == ("GET", "read", "POST", "rollback")
    visit = Visit(Actor("alice", frozenset({"read", "rollback"})), desk, cast(Any, None))
    answer = await listing.run(visit, WarmList("agent"))
    assert [row.place for row in answer] == [0, 1]
    assert msgspec.json.decode(msgspec.json.encode(answer), type=listing.answer) == answer
    with pytest.raises(Fault, match="no_data_port"):
        await probe.run(visit, WarmProbe("agent"))
