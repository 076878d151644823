"""The rollout's rows of the table, on a real store: each does what it says, with its right."""

from __future__ import annotations

import msgspec
import pytest

from gateway.admin import rollout_asks as asks
from gateway.admin.operations import OPERATIONS
from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Phase
from gateway.core.rollout.manifest import Manifest, Step
from tests.admin.test_shadow_operations import do
from tests.control.conftest import Make, Place, desk, made, package_redis, pins, placed

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def manifest(made: Make, placed: Place) -> Manifest:
    """B for `agent`, which is on A: one step, which a person approves, and no shadow."""
    await placed("agent", {"*": "A"})
    step = Step("5%", "1s", 1, approve=True)
    return Manifest(kind="Rollout", alias="agent", release=await made("B"), steps=(step,), skip_shadow="no traffic yet")


async def test_every_operation_of_a_rollout(desk: Desk, manifest: Manifest) -> None:
    """Plan, start, status, override, approve, freeze, resume, abort and retry, each once, through their written forms."""
    text = msgspec.json.encode(manifest).decode()
    plan = await do(desk, "rollout.plan", asks.RolloutPlanAsk("agent", text))
    assert [stage.weight for stage in plan.forecast.stages] == [500, 9500]
    started = await do(desk, "rollout.start", asks.RolloutStart("agent", manifest, "new model"))
    assert started.after.plan == plan.plan
    assert (await do(desk, "rollout.status", asks.RolloutOne("agent"))).rollout == started.after
    overridden = await do(desk, "rollout.override", asks.RolloutOverride("agent", "by hand", "bob"))
    assert (overridden.after.phase, overridden.override) == (Phase.AWAITING_APPROVAL, "bob: by hand")
    assert (await do(desk, "rollout.approve", asks.RolloutApprove("agent"))).split_after.weights == {"*": 500}
    assert (await do(desk, "rollout.freeze", asks.RolloutWord("agent", "look"))).after.phase is Phase.FROZEN
    assert (await do(desk, "rollout.resume", asks.RolloutResume("agent", "fine"))).after.phase is Phase.CANARY
    assert (await do(desk, "rollout.abort", asks.RolloutWord("agent", "no"))).split_after is None
    assert (await do(desk, "rollout.retry", asks.RolloutRetry("agent", "fixed"))).after.retried


async def test_what_is_no_manifest_of_the_alias(desk: Desk, manifest: Manifest) -> None:
    """Text that is not JSON, not a manifest, or a manifest of another alias is refused before anything is looked at."""
    other = msgspec.structs.replace(manifest, alias="usual")
    for text in ("{", '{"kind": "Rollout"}', msgspec.json.encode(other).decode()):
        with pytest.raises(Fault, match="manifest_bad"):
            await do(desk, "rollout.plan", asks.RolloutPlanAsk("agent", text))
    with pytest.raises(Fault, match="manifest_bad"):
        await do(desk, "rollout.start", asks.RolloutStart("agent", other, "x"))
    with pytest.raises(Fault, match="rollout_state"):
        await do(desk, "rollout.start", asks.RolloutStart("agent", manifest, "x"))
        await do(desk, "rollout.skip", asks.RolloutWord("agent", "x"))
    with pytest.raises(Fault, match="rollout_state"):
        await do(desk, "rollout.resume", asks.RolloutResume("agent", "x", accept_inconclusive=True))


def test_who_may_narrow_need_not_be_able_to_widen() -> None:
    """Freeze and abort take the right `rollback`, as rollback does; everything that may put more runs on a candidate takes `rollout`."""
    rights = {name: row.right for name, row in OPERATIONS.items() if name.startswith("rollout.")}
    assert {name for name, right in rights.items() if right == "rollback"} == {"rollout.freeze", "rollout.abort"}
    assert {name for name, right in rights.items() if right == "read"} == {"rollout.plan", "rollout.status"}
