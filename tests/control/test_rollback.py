"""Rollback, in every state it may be asked for."""

from __future__ import annotations

import time

import anyio
import msgspec
import pytest

from gateway.control.block import block
from gateway.control.desk import Desk
from gateway.control.promote import promote
from gateway.control.rollback import rollback
from gateway.core.contract.alias import Split
from gateway.core.contract.fault import Fault
from gateway.store import aliases, releases
from gateway.store.workers import acknowledged
from tests.control.conftest import Make, Place
from tests.control.workers import beating

pytestmark = pytest.mark.anyio


async def test_every_lane_of_the_bad_release_in_one_write(desk: Desk, made: Make, placed: Place) -> None:
    """Without --lane every lane that serves the bad release goes back to its own previous one, and no other lane moves."""
    await placed("agent", {"*": "BA", "segment:gold": "BC", "tenant:calm": "DA"})
    a, c, d = await made("A"), await made("C"), await made("D")
    moved = await rollback(desk, "agent", "answers got worse")
    assert moved.changed
    assert moved.version == 2
    assert {name: lane.release for name, lane in moved.after.items()} == {"*": a, "segment:gold": c, "tenant:calm": d}
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert (entry.actor, entry.action, entry.reason, entry.version) == ("alice", "rollback", "answers got worse", 2)
    assert entry.before is not None
    assert entry.after is not None
    assert entry.before.lanes == moved.before
    assert entry.after.lanes == moved.after


async def test_i4_twice_is_harmless(desk: Desk, made: Make, placed: Place) -> None:
    """I4: a second rollback does not flip back to the bad release; it says what was done and how to go further."""
    await placed("agent", {"*": "BA"})
    await rollback(desk, "agent", "bad")
    again = await rollback(desk, "agent", "bad")
    assert not again.changed
    assert again.version == 2
    assert "already" in again.warnings[0]
    assert "--to" in again.warnings[0]
    state = await desk.alias("agent")
    assert state.lanes["*"].release == await made("A")


async def test_i4_to_itself_is_a_no_op(desk: Desk, made: Make, placed: Place) -> None:
    """I4: rolling back to what is stable already changes nothing."""
    await placed("agent", {"*": "BA"})
    moved = await rollback(desk, "agent", "bad", to=await made("B"))
    assert not moved.changed
    assert moved.version == 1


async def test_i4_unknown_and_never_stable_targets_name_the_warm_ones(desk: Desk, made: Make, placed: Place) -> None:
    """I4: a target that was never stable in the lane, or does not exist, is refused with the list of warm releases."""
    await placed("agent", {"*": "BA"})
    for target in (await made("C"), "rel_0000000000000000"):
        with pytest.raises(Fault, match="no_warm_release") as caught:
            await rollback(desk, "agent", "bad", to=target)
        assert caught.value.status == 409
        assert await made("A") in caught.value.message
    assert (await desk.alias("agent")).version == 1


async def test_i4_blocked_target_is_refused_or_passed_over(desk: Desk, made: Make, placed: Place) -> None:
    """I4: a blocked release is refused by name; without a name the next callable one is taken, and that is said."""
    await placed("agent", {"*": "CBA"})
    a, b = await made("A"), await made("B")
    await releases.block(desk.store, b, "leaks")
    with pytest.raises(Fault) as caught:
        await rollback(desk, "agent", "bad", to=b)
    assert "blocked (leaks)" in caught.value.message
    assert a in caught.value.message
    moved = await rollback(desk, "agent", "bad")
    assert moved.after["*"].release == a
    assert any("passed over" in warning and b in warning for warning in moved.warnings)


async def test_i4_target_whose_provider_is_gone(desk: Desk, placed: Place) -> None:
    """I4: a release whose provider is not configured any more is not a way back."""
    await placed("agent", {"*": "BA"})
    settings = msgspec.structs.replace(desk.settings, providers={})
    bare = Desk(desk.store, settings, desk.pins, "alice", desk.now_ms)
    with pytest.raises(Fault) as caught:
        await rollback(bare, "agent", "bad")
    assert "Warm releases: none" in caught.value.message


async def test_one_lane_only(desk: Desk, made: Make, placed: Place) -> None:
    """With --lane the other lanes stay; a lane that does not exist is refused with those that do."""
    await placed("agent", {"*": "BA", "tenant:acme": "BA"})
    moved = await rollback(desk, "agent", "bad for acme", lane="tenant:acme")
    assert moved.after["tenant:acme"].release == await made("A")
    assert moved.after["*"].release == await made("B")
    with pytest.raises(Fault) as caught:
        await rollback(desk, "agent", "bad", lane="tenant:nobody")
    assert "tenant:acme" in caught.value.message


async def test_different_lanes_without_a_common_one(desk: Desk, placed: Place) -> None:
    """Without a lane `*` and with different releases, rollback asks which lane is meant instead of guessing."""
    await placed("agent", {"tenant:x": "BA", "tenant:y": "CA"})
    with pytest.raises(Fault, match="lane_needed"):
        await rollback(desk, "agent", "bad")


async def test_rollout_in_progress_ends(desk: Desk, made: Make, placed: Place) -> None:
    """During a canary, rollback takes the weight to 0 in one write; the stable pointer stays."""
    state = await placed("agent", {"*": "BA"})
    split = Split(candidate=await made("C"), salt="s", weights={"*": 500})
    await aliases.write(desk.store, state, msgspec.structs.replace(state, split=split), desk.entry("start", "test"))
    moved = await rollback(desk, "agent", "canary is bad")
    assert moved.split_before == split
    assert moved.split_after is None
    assert moved.after["*"].release == await made("B")
    assert (await desk.alias("agent")).split is None


async def test_rollback_after_promote_is_a_flip(desk: Desk, made: Make, placed: Place) -> None:
    """flagger#616: rollback after a promotion returns to what was stable before, and the next promotion works again."""
    await placed("agent", {"*": "A"})
    b, c = await made("B"), await made("C")
    await promote(desk, "agent", b, "try")
    assert (await rollback(desk, "agent", "bad")).after["*"].release == await made("A")
    await promote(desk, "agent", c, "try again")
    moved = await rollback(desk, "agent", "bad too")
    assert moved.after["*"].release == await made("A"), "not B, which was rolled back before"


async def test_nothing_to_go_back_to(desk: Desk, placed: Place) -> None:
    """An alias on its first release has no way back, and says so."""
    await placed("agent", {"*": "A"})
    with pytest.raises(Fault, match="no_warm_release"):
        await rollback(desk, "agent", "bad")


async def test_reason_is_needed(desk: Desk, placed: Place) -> None:
    """No pointer moves without a reason."""
    await placed("agent", {"*": "BA"})
    with pytest.raises(Fault, match="reason_missing"):
        await rollback(desk, "agent", "  ")


async def test_wins_while_versions_race(desk: Desk, made: Make, placed: Place) -> None:
    """F13: while another operator writes the alias all the time, rollback still lands, whole, with both in the history."""
    await placed("agent", {"*": "BA"})
    other = Desk(desk.store, desk.settings, desk.pins, "bob", desk.now_ms)
    stop = anyio.Event()
    writes = 0

    async def noise() -> None:
        nonlocal writes
        while not stop.is_set():
            state = await other.alias("agent")
            try:
                await aliases.write(other.store, state, state, other.entry("stakes", "noise"))
                writes += 1
            except aliases.PointerMoved:
                pass
            await anyio.sleep(0.0005)

    async with anyio.create_task_group() as group:
        group.start_soon(noise)
        await anyio.sleep(0.05)
        moved = await rollback(desk, "agent", "bad")
        await anyio.sleep(0.05)
        stop.set()
    assert moved.changed
    state = await desk.alias("agent")
    assert state.lanes["*"].release == await made("A")
    assert state.version == 1 + writes + 1
    entries = await aliases.history(desk.store, "agent", 10_000)
    assert len(entries) == state.version
    assert sum(entry.action == "rollback" for entry in entries) == 1


async def test_two_rollbacks_at_once(desk: Desk, made: Make, placed: Place) -> None:
    """F13: two operators roll back at the same moment: one write, and the other is told that it was done."""
    await placed("agent", {"*": "CBA"})
    other = Desk(desk.store, desk.settings, desk.pins, "bob", desk.now_ms)
    results = []

    async def one(who: Desk) -> None:
        results.append(await rollback(who, "agent", "bad"))

    async with anyio.create_task_group() as group:
        group.start_soon(one, desk)
        group.start_soon(one, other)
    assert sorted(moved.changed for moved in results) == [False, True]
    assert (await desk.alias("agent")).lanes["*"].release == await made("B")


async def test_prints_milliseconds_and_names_silent_workers(desk: Desk, placed: Place) -> None:
    """Workers that follow are timed; one that stays on the old version is named after the wait, not waited for for ever."""
    await placed("agent", {"*": "BA"})
    async with beating(desk, "w1", after=0.05), beating(desk, "w2", after=0.15), beating(desk, "stuck", after=60):
        began = time.monotonic()
        moved = await rollback(desk, "agent", "bad", timeout=0.5)
        assert time.monotonic() - began < 1.5
    heard = moved.acknowledged
    assert set(heard.milliseconds) == {"w1", "w2"}
    assert 40 < heard.milliseconds["w1"] < heard.milliseconds["w2"] < 500
    assert heard.slowest == heard.milliseconds["w2"]
    assert heard.silent == ("stuck",)
    assert any("stuck" in warning for warning in moved.warnings)


async def test_no_workers_means_no_wait(desk: Desk, placed: Place) -> None:
    """Without a live worker there is nothing to wait for."""
    await placed("agent", {"*": "BA"})
    began = time.monotonic()
    moved = await rollback(desk, "agent", "bad")
    assert time.monotonic() - began < 0.5
    assert moved.acknowledged.milliseconds == {}


async def test_stop_runs_blocks_the_bad_release(desk: Desk, made: Make, placed: Place) -> None:
    """--stop-runs blocks the release that was left, once, and workers are told by a further version."""
    await placed("agent", {"*": "BA"})
    b = await made("B")
    moved = await rollback(desk, "agent", "harmful", stop_runs=True)
    assert (await desk.release(b)).blocked == "harmful"
    assert (await desk.alias("agent")).version > moved.version
    again = await rollback(desk, "agent", "harmful", stop_runs=True)
    assert not again.changed
    assert any("stopped already" in warning for warning in again.warnings)


async def test_blocked_stable_release_can_be_left(desk: Desk, made: Make, placed: Place) -> None:
    """Block says what still serves the release; rollback is the way off it."""
    await placed("agent", {"*": "BA"})
    result = await block(desk, await made("B"), "leaks")
    assert result.changed
    assert "agent *" in result.note
    assert (await rollback(desk, "agent", "leaks")).after["*"].release == await made("A")


async def test_store_that_goes_away_while_waiting(desk: Desk, placed: Place) -> None:
    """Waiting for workers never raises: what was not heard is silent."""
    await placed("agent", {"*": "BA"})
    heard = await acknowledged(desk.store, "agent", 99, 0.05)
    assert heard.milliseconds == {}
