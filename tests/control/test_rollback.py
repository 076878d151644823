"""Rollback, in every state it may be asked for."""

from __future__ import annotations

import time
from typing import Any

import anyio
import msgspec
import pytest

from gateway.control.block import block
from gateway.control.desk import Desk
from gateway.control.promote import promote
from gateway.control.rollback import rollback
from gateway.core.contract.alias import AliasState, Split, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Phase, Word
from gateway.core.rollout import machine
from gateway.store import aliases, releases
from gateway.store.workers import acknowledged
from tests.control.conftest import Make, Place
from tests.control.rolling import rolling
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


EXPOSED = (Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.FROZEN, Phase.PROMOTING)


@pytest.mark.parametrize("phase", EXPOSED)
async def test_a_rollout_ends_in_the_same_write(desk: Desk, made: Make, placed: Place, phase: Phase) -> None:
    """While runs are on a candidate, rollback is one write: weight 0, the candidate barred, the stable release where it was. Again, and
    after the loop's own rollback, it changes nothing."""
    state = await placed("agent", {"*": "BA"})
    c = await made("C")
    await rolling(desk, state, c, phase)
    moved = await rollback(desk, "agent", "answers got worse")
    after = await desk.alias("agent")
    assert (moved.version, moved.before, moved.after) == (3, state.lanes, state.lanes)
    assert after.rollout is not None
    assert (after.rollout.phase, after.split, after.rollout.reason) == (Phase.ROLLED_BACK, None, "answers got worse")
    assert list(after.barred) == [c]
    again = await rollback(desk, "agent", "answers got worse")
    assert not again.changed
    assert c in again.warnings[0]
    further = await rollback(desk, "agent", "really", to=await made("A"))
    assert further.after["*"].release == await made("A")


async def test_a_completed_rollout_is_taken_back_and_barred(desk: Desk, made: Make, placed: Place) -> None:
    """After completion rollback flips the pointer to the old stable at once, without stages or gates, and bars the candidate."""
    state = await placed("agent", {"*": "BA"})
    c = await made("C")
    await rolling(desk, state, c, Phase.COMPLETED)
    assert (await desk.alias("agent")).lanes["*"].release == c
    moved = await rollback(desk, "agent", "bad")
    after = await desk.alias("agent")
    assert moved.after["*"].release == await made("B")
    assert after.rollout is not None
    assert after.rollout.phase is Phase.ROLLED_BACK
    assert list(after.barred) == [c]
    assert not (await rollback(desk, "agent", "bad")).changed


@pytest.mark.parametrize("phase", [Phase.SHADOWING, Phase.GATED])
async def test_with_nobody_on_the_candidate_the_stable_release_is_left(
    desk: Desk, made: Make, placed: Place, phase: Phase
) -> None:
    """Before the canary it is the stable release that is bad: the pointer goes back, and the rollout against it ends."""
    state = await placed("agent", {"*": "BA"})
    await rolling(desk, state, await made("C"), phase)
    moved = await rollback(desk, "agent", "bad")
    after = await desk.alias("agent")
    assert moved.after["*"].release == await made("A")
    assert after.rollout is not None
    assert after.rollout.phase is Phase.ROLLED_BACK
    assert after.shadows == ()


async def test_without_a_way_back_the_rollout_ends_all_the_same(desk: Desk, made: Make, placed: Place) -> None:
    """Nothing warm to go back to does not keep the rollout alive; what could not be done is said."""
    state = await placed("agent", {"*": "B"})
    await rolling(desk, state, await made("C"), Phase.SHADOWING)
    moved = await rollback(desk, "agent", "bad")
    assert moved.changed
    assert "nothing to go back to" in moved.warnings[1]
    after = await desk.alias("agent")
    assert after.rollout is not None
    assert after.rollout.ended


async def test_one_that_completes_meanwhile_is_taken_back_too(
    desk: Desk, made: Make, placed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback of a promoting rollout that loses the race against its completion moves the pointer back instead."""
    state = await placed("agent", {"*": "BA"})
    c = await made("C")
    rolled = await rolling(desk, state, c, Phase.PROMOTING)
    write = aliases.write

    async def late(*args: Any, **more: Any) -> AliasState:
        monkeypatch.setattr(aliases, "write", write)
        assert rolled.rollout is not None
        done = machine.turn(rolled.rollout, Word.ADVANCE, now_ms=1, stakes=Stakes.LOW)
        await write(desk.store, rolled, machine.state_after(rolled, done, 3), desk.entry("rollout_advance", "done"))
        return await write(*args, **more)

    monkeypatch.setattr(aliases, "write", late)
    moved = await rollback(desk, "agent", "bad")
    assert moved.before["*"].release == c
    assert moved.after["*"].release == await made("B")
    after = await desk.alias("agent")
    assert after.split is None
    assert list(after.barred) == [c]


async def test_one_lane_ends_the_rollout_it_is_in_and_no_other(desk: Desk, made: Make, placed: Place) -> None:
    """Rolling back a lane of a rollout ends it, also where nobody of that lane is on the candidate yet, or nothing is left to go back to;
    a lane that has no part in it moves alone, and the rollout goes on."""
    state = await placed("agent", {"*": "AB", "tenant:acme": "DB"})
    rolled = await rolling(desk, state, await made("C"), Phase.CANARY)
    moved = await rollback(desk, "agent", "bad", lane="tenant:acme", timeout=0)
    after = await desk.alias("agent")
    assert moved.after["tenant:acme"].release == await made("B")
    assert (after.rollout, after.split, after.barred) == (rolled.rollout, rolled.split, {})
    assert not any("is ended" in warning for warning in moved.warnings)
    await rollback(desk, "agent", "bad", lane="*", timeout=0)
    after = await desk.alias("agent")
    assert after.rollout is not None
    assert (after.rollout.phase, after.lanes["*"].release) == (Phase.ROLLED_BACK, await made("A"))


async def test_a_lane_that_was_rolled_back_before_ends_its_rollout_too(desk: Desk, made: Make, placed: Place) -> None:
    """Before the canary, in a lane that is back on its former release already: the pointer stays, and the rollout ends."""
    await placed("agent", {"*": "BA"})
    await rollback(desk, "agent", "bad", timeout=0)
    await rolling(desk, await desk.alias("agent"), await made("C"), Phase.GATED)
    moved = await rollback(desk, "agent", "bad", lane="*", timeout=0)
    after = await desk.alias("agent")
    assert after.rollout is not None
    assert (moved.changed, after.rollout.phase, after.lanes) == (True, Phase.ROLLED_BACK, moved.before)


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.COMPLETED])
async def test_proofs_that_cannot_be_read_stop_no_rollback(desk: Desk, made: Make, placed: Place, phase: Phase) -> None:
    """What the gateway found out by itself is an advice: a damaged record of it keeps nobody on a bad release."""
    state = await placed("agent", {"*": "BA"})
    await rolling(desk, state, await made("C"), phase)
    await desk.store.do("SET", desk.store.keys.proofs(), "broken")
    assert (await rollback(desk, "agent", "bad", timeout=0)).changed
    after = await desk.alias("agent")
    assert (after.split, after.lanes["*"].release) == (None, await made("B"))
