"""What a lane can go back to: told with age and source, warned of before it matters, and obeyed by rollback (I4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.control import erase, warm
from gateway.control.block import block
from gateway.control.desk import Desk
from gateway.control.moves import with_lanes
from gateway.control.promote import promote
from gateway.control.rollback import rollback
from gateway.core.contract.alias import Lane
from gateway.core.contract.artifact import digest
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Mode
from gateway.core.contract.sentinel import Callable, Proof
from gateway.core.pinning.lifecycle import day
from gateway.store import aliases, proofs, releases, workers
from tests.control.conftest import Make, Place, with_legs

pytestmark = pytest.mark.anyio
HOUR = 3_600_000
PROVEN, UNPROVEN, DEAD = Proof


async def said(desk: Desk, release: str, proof: Proof, hours: float = 1.0, why: str = "") -> None:
    """Keep a proof of so long ago."""
    at_ms = desk.now_ms - int(hours * HOUR)
    await proofs.put(desk.store, [Callable(release, proof, at_ms, "probe", why, at_ms)])


async def test_every_release_of_a_lane_is_told(desk: Desk, made: Make, placed: Place) -> None:
    """Stable first, each with what is known of it as of now; what nobody looked at is unproven."""
    desk = replace(desk, now_ms=day("2026-11-23") * 86_400_000 + 1)
    await placed("agent", {"*": "DCBA"})
    await placed("usual", {"*": "A"})
    a, b, c, d = [await made(letter) for letter in "ABCD"]
    for release, proof, hours in ((d, PROVEN, 1.0), (c, PROVEN, 7.0), (b, DEAD, 2.0)):
        await said(desk, release, proof, hours)
    rows = await warm.listed(desk, "agent")
    told = [(row.place, row.release, row.proof, row.age_ms, row.ready) for row in rows]
    assert told == [
        (0, d, PROVEN, HOUR, True),
        (1, c, UNPROVEN, 7 * HOUR, False),
        (2, b, DEAD, 2 * HOUR, False),
        (3, a, UNPROVEN, None, False),
    ]
    assert [row.days_left for row in rows] == [52, 52, 52, -31]
    assert "too old" in rows[1].why
    assert warm.stuck(rows) == [("agent", "*")]
    assert {row.alias for row in await warm.listed(desk)} == {"agent", "usual"}
    await said(desk, a, PROVEN)
    assert warm.stuck(await warm.listed(desk)) == [("usual", "*")]


async def test_a_blocked_release_is_nothing_to_go_back_to(desk: Desk, made: Make, placed: Place) -> None:
    """However proven it is."""
    await placed("agent", {"*": "BA"})
    a = await made("A")
    await said(desk, a, PROVEN)
    assert warm.stuck(await warm.listed(desk)) == []
    await block(desk, a, "leaks")
    rows = await warm.listed(desk)
    assert warm.stuck(rows) == [("agent", "*")]
    assert "blocked" in rows[1].why


async def test_i4_a_dead_release_is_refused_and_passed_over(desk: Desk, made: Make, placed: Place) -> None:
    """Asked for by name it is refused with what is warm; by default the next one is taken, and that is said."""
    await placed("agent", {"*": "DCBA"})
    a, b, c = [await made(letter) for letter in "ABC"]
    await said(desk, c, DEAD, why="the model is gone: status 404")
    with pytest.raises(Fault) as refused:
        await rollback(desk, "agent", "bad", to=c)
    assert (refused.value.code, refused.value.status) == ("release_dead", 409)
    assert f"Warm releases: {b}, {a}" in refused.value.message
    assert "status 404" in refused.value.message
    assert "--probe" in refused.value.message
    moved = await rollback(desk, "agent", "bad")
    assert moved.after["*"].release == b
    assert any(f"passed over {c}" in each for each in moved.warnings)


async def test_i4_nothing_alive_is_refused(desk: Desk, made: Make, placed: Place) -> None:
    """Where all are dead there is no way back, and the reasons are given."""
    await placed("agent", {"*": "BA"})
    await said(desk, await made("A"), DEAD, why="the credential is refused: status 401")
    with pytest.raises(Fault) as refused:
        await rollback(desk, "agent", "bad")
    assert refused.value.code == "no_warm_release"
    assert "status 401" in refused.value.message
    assert (await desk.alias("agent")).lanes["*"].release == await made("B")


async def test_an_unproven_release_warns_and_goes_on(desk: Desk, made: Make, placed: Place) -> None:
    """Nobody is kept from rolling back by what is merely unknown."""
    await placed("agent", {"*": "BA"})
    a = await made("A")
    await said(desk, a, PROVEN, hours=30)
    moved = await rollback(desk, "agent", "bad")
    assert moved.after["*"].release == a
    assert any(f"{a} is unproven, last proven 1 d ago" in each for each in moved.warnings)


@pytest.mark.parametrize(("proof", "warned"), [(PROVEN, False), (UNPROVEN, True), (DEAD, True), (None, False)])
async def test_a_promotion_warns_of_no_way_back(
    desk: Desk, made: Make, placed: Place, proof: Proof | None, warned: bool
) -> None:
    """When what it leaves is not proven; what nobody looked at yet warns of nothing."""
    await placed("agent", {"*": "A"})
    if proof is not None:
        await said(desk, await made("A"), proof)
    moved = await promote(desk, "agent", await made("B"), "better")
    assert any("nothing that lane *" in each for each in moved.warnings) == warned


async def test_what_cannot_be_read_warns_of_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion does not fail for the sake of a warning."""

    async def broken(*_: Any) -> Any:
        raise Fault("conflict", "x", "x")  # type: ignore[arg-type]

    monkeypatch.setattr(proofs, "get", broken)
    assert await warm.outlook(desk, "agent", {"*": Lane("rel_1", ("rel_2",))}) == ()


def test_an_age_is_one_number() -> None:
    """Rounded down, never negative."""
    ages = [warm.age(ms) for ms in (-5, 59_999, 60_000, HOUR, 47 * HOUR, 48 * HOUR)]
    assert ages == ["0 s", "59 s", "1 min", "1 h", "1 d", "2 d"]


async def test_what_a_lane_names_is_never_deleted(desk: Desk, placed: Place) -> None:
    """Neither housekeeping nor an erasure takes a release or its prompt away, and neither has a time to live."""
    kept = await with_legs(desk, "C", prompt=(Mode.SERVE, "You help."))
    state = await placed("agent", {"*": "BA"})
    lane = Lane(state.lanes["*"].release, (*state.lanes["*"].previous, kept))
    await aliases.write(desk.store, state, with_lanes(state, {"*": lane}), desk.entry("test", "a pin with a prompt"))
    await workers.sweep(desk.store)
    await proofs.keep_only(desk.store, ())
    cursor = ""
    while True:
        done = await erase.erase(desk, "default", "test", cursor=cursor)
        cursor = done.cursor
        if not cursor:
            break
    names = [lane.release, *lane.previous]
    keys = [desk.store.keys.release(name) for name in names]
    keys += [desk.store.keys.artifact(digest(b"You help.")), desk.store.keys.releases(), desk.store.keys.alias("agent")]
    assert await desk.store.read_many([("PTTL", key) for key in keys]) == [-1] * len(keys)
    assert set(await releases.many(desk.store, names)) == set(names)
