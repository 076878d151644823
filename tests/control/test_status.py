"""What `trivet status` tells."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.status import status
from gateway.core.contract.rollout import Phase
from gateway.store import lease, releases
from tests.control.conftest import Make, Place
from tests.control.rolling import rolling
from tests.control.test_lifecycle import on
from tests.control.test_recovery import copied
from tests.control.workers import beat

pytestmark = pytest.mark.anyio


async def test_quiet_when_all_is_well(desk: Desk, placed: Place) -> None:
    """A safe store, known aliases and following workers give no warning."""
    await placed("agent", {"*": "BA"})
    await copied(desk)
    await beat(desk, "w1", {"agent": 1})
    told = await status(desk)
    assert told.warnings == ()
    assert told.store is not None
    assert told.store.safe
    assert [row.name for row in told.aliases] == ["agent"]
    assert [worker.worker for worker in told.workers] == ["w1"]


async def test_names_what_is_wrong(desk: Desk, made: Make, placed: Place) -> None:
    """A blocked stable release, a worker that is behind and a lost pointer are each named."""
    await placed("agent", {"*": "BA"})
    await placed("usual", {"*": "C"})
    await copied(desk)
    await desk.store.do("DEL", desk.store.keys.alias("usual"))
    await releases.block(desk.store, await made("B"), "leaks")
    await beat(desk, "w1", {"agent": 0})
    told = await status(desk)
    assert told.store_lost
    for part in ("store_lost", "blocked: leaks", "w1 is behind"):
        assert any(part in warning for warning in told.warnings), part


async def test_names_models_that_retire(desk: Desk, placed: Place) -> None:
    """Within thirty days, or gone, it is a warning; within ninety something to plan for; further off nothing."""
    await placed("agent", {"*": "BA"})
    for date, soon, later in (("2026-06-01", 0, 0), ("2026-09-01", 0, 1), ("2026-11-23", 1, 1), ("2026-12-20", 2, 0)):
        told = await status(on(desk, date))
        assert (len([w for w in told.warnings if "retire" in w]), len(told.notes)) == (soon, later), date
    assert "openai/gpt-4o-2024-05-13 retired on 2026-10-23: agent warm (`trivet lifecycle --plan`)" in told.warnings


async def test_names_rollouts_that_wait_for_somebody(desk: Desk, made: Make, placed: Place) -> None:
    """A frozen rollout and one that waits for an approval are named with the command, and so is that nobody drives them."""
    for name, phase in (("agent", Phase.FROZEN), ("usual", Phase.AWAITING_APPROVAL)):
        await rolling(desk, await placed(name, {"*": "A"}), await made("B"), phase)
    told = "\n".join((await status(desk)).warnings)
    for part in ("no process drives rollouts", "agent is frozen", "trivet rollout approve usual"):
        assert part in told
    await lease.hold(desk.store, "one")
    assert "no process drives" not in "\n".join((await status(desk)).warnings)
