"""Block and unblock."""

from __future__ import annotations

import pytest

from gateway.control.block import block, unblock
from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Phase
from gateway.core.contract.run import Stamp, run_digest
from gateway.store import aliases
from gateway.store.records import encode_stamp
from tests.control.conftest import MODELS, Make, Place
from tests.control.rolling import rolling
from tests.control.workers import beating

pytestmark = pytest.mark.anyio


async def test_workers_are_told_by_a_version(desk: Desk, made: Make, placed: Place) -> None:
    """Every alias that names the release gets a new version with the same pointers, and workers are waited for."""
    before = await placed("agent", {"*": "AB"})
    await placed("usual", {"*": "C"})
    async with beating(desk, "w1", after=0.02):
        result = await block(desk, await made("B"), "it leaks")
    assert result.changed
    assert result.aliases == ("agent",)
    assert result.acknowledged["agent"].silent == ()
    assert set(result.acknowledged["agent"].milliseconds) == {"w1"}
    after = await desk.alias("agent")
    assert after.version == before.version + 1
    assert after.lanes == before.lanes
    assert (await desk.alias("usual")).version == 1
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert entry.action == "block"
    assert "it leaks" in entry.reason


async def test_aliases_of_old_runs_are_told_too(desk: Desk, made: Make, placed: Place) -> None:
    """An alias that forgot the release long ago, but has a run of it still, is told as well."""
    await placed("agent", {"*": "A"})
    b = await made("B")
    stamp = Stamp(tenant="default", run="r1", alias="agent", release=b, model=MODELS["B"], at_ms=5)
    key = run_digest("default", "r1")
    await desk.store.do("HSET", desk.store.keys.run_of(key), "stamp:agent", encode_stamp(stamp))
    await desk.store.do("ZADD", desk.store.keys.release_runs(b), 5, key)
    assert (await block(desk, b, "it leaks")).aliases == ("agent",)


async def test_twice_and_back(desk: Desk, made: Make, placed: Place) -> None:
    """Blocking twice changes nothing more; unblocking lifts it; the digest of the release never changes."""
    await placed("agent", {"*": "AB"})
    b = await made("B")
    await block(desk, b, "it leaks")
    assert not (await block(desk, b, "it leaks")).changed
    lifted = await unblock(desk, b, "false alarm")
    assert lifted.changed
    assert lifted.blocked == ""
    assert (await desk.release(b)).blocked == ""
    assert await made("B") == b
    assert not (await unblock(desk, b, "false alarm")).changed


async def test_unknown_release(desk: Desk) -> None:
    """An unknown release is refused."""
    with pytest.raises(Fault, match="release_unknown"):
        await block(desk, "rel_0000000000000000", "why not")


async def test_a_blocked_candidate_takes_its_rollout_with_it(desk: Desk, made: Make, placed: Place) -> None:
    """Who blocks the candidate of a rollout ends it in the same write: nobody new is bound to what only refuses."""
    state = await placed("agent", {"*": "A"})
    b = await made("B")
    await rolling(desk, state, b, Phase.CANARY)
    found = await block(desk, b, "leaks", timeout=0)
    assert found.aliases == ("agent",)
    after = await desk.alias("agent")
    assert after.rollout is not None
    assert (after.rollout.phase, after.split, list(after.barred)) == (Phase.ROLLED_BACK, None, [b])
    assert "blocked" in after.rollout.reason
    await unblock(desk, b, "fine", timeout=0)
    assert (await desk.alias("agent")).rollout == after.rollout
