"""Promotion under section 6 of the design."""

from __future__ import annotations

from pathlib import Path

import anyio
import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.promote import Permission, permitted, promote
from gateway.control.releases import create
from gateway.control.standing import Standing
from gateway.core.contract.alias import Split
from gateway.core.contract.evidence import Evidence, Origin, evidence_digest
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import Moved, ReleaseAsk
from gateway.store import aliases, releases
from tests.control.conftest import Make, Place
from tests.control.gates import gated, proof
from tests.core.gate.evidences import flips

pytestmark = pytest.mark.anyio


async def test_moves_every_lane_and_keeps_the_way_back(desk: Desk, made: Make, placed: Place) -> None:
    """One write moves every lane; each lane remembers its own former releases, as many as are kept warm."""
    await placed("agent", {"*": "BA", "tenant:acme": "A"})
    c = await made("C")
    moved = await promote(desk, "agent", c, "better answers")
    assert moved.version == 2
    assert {name: lane.release for name, lane in moved.after.items()} == {"*": c, "tenant:acme": c}
    assert moved.after["*"].previous == (await made("B"), await made("A"))
    assert moved.after["tenant:acme"].previous == (await made("A"),)
    assert moved.warnings, "stakes low: promoted without a GO, with a warning"
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert (entry.action, entry.actor, entry.reason) == ("promote", "alice", "better answers")
    assert entry.override == "no GO"


async def test_same_release_again_is_a_no_op(desk: Desk, made: Make, placed: Place) -> None:
    """Promoting what is stable everywhere writes nothing."""
    await placed("agent", {"*": "A"})
    moved = await promote(desk, "agent", await made("A"), "again")
    assert not moved.changed
    assert (await desk.alias("agent")).version == 1


async def test_i3_standard_needs_a_named_override(desk: Desk, made: Make, placed: Place) -> None:
    """I3: at stakes standard a promotion without a GO is refused, and forced only by name; both stay in the history."""
    await placed("usual", {"*": "A"})
    b = await made("B")
    with pytest.raises(Fault, match="gate_not_green") as caught:
        await promote(desk, "usual", b, "hurry")
    assert caught.value.status == 409
    assert "--override" in caught.value.message
    moved = await promote(desk, "usual", b, "hurry", override="alice")
    assert "alice: hurry" in moved.override
    assert (await aliases.history(desk.store, "usual"))[0].override == moved.override


async def test_i3_high_is_refused_whatever_is_said(desk: Desk, made: Make, placed: Place) -> None:
    """I3: at stakes high no override stands in for the gate, and the reason is told."""
    await placed("grave", {"*": "A"})
    with pytest.raises(Fault, match="gate_not_green") as caught:
        await promote(desk, "grave", await made("B"), "hurry", override="alice")
    assert "Alias grave declares no suites" in caught.value.message
    assert (await desk.alias("grave")).version == 1


async def test_i3_a_go_promotes_and_stays_in_the_history(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """I3: with a fresh GO of its own no override is asked for; the evidence it went on is named in the history."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    found = await proof(desk, "usual", b, a)
    moved = await promote(desk, "usual", b, "proven")
    assert moved.override == "no shadow; a reason: proven"
    entry = (await aliases.history(desk.store, "usual"))[0]
    assert entry.evidence == evidence_digest(found)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, "my-task@1: there is no evidence"),
        ({"candidate": "rel_0123456789abcdef"}, "another candidate"),
        ({"incumbent": "rel_0123456789abcdef"}, "another incumbent"),
        ({"ended_ms": 1_700_000_000_000 - 15 * 86_400_000}, "is 15 days old"),
        ({"fallbacks": 1}, "another model"),
        ({"scores": flips(60, 20)}, "NO-GO: drop +33.3 pp"),
        ({"scores": flips(60, 2, 2)}, "more items would tell"),
    ],
)
async def test_i3_evidence_that_is_none(
    desk: Desk, made: Make, placed: Place, tmp_path: Path, change: dict[str, object] | None, told: str
) -> None:
    """I3: nothing, the eval of another triple, a stale, a red or an open one: 409 `gate_not_green`, which says what is lacking
    and what would make it green; and an override is recorded."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    pair = {"candidate": await made("B"), "incumbent": await made("A")}
    if change is not None:
        await proof(desk, "usual", **{**pair, **change})  # type: ignore[arg-type]
    with pytest.raises(Fault, match="gate_not_green") as caught:
        await promote(desk, "usual", pair["candidate"], "hurry")
    assert told in caught.value.message
    assert f"`trivet gate run usual --release {pair['candidate']}`" in caught.value.message
    assert (await desk.alias("usual")).version == 1
    forced = await promote(desk, "usual", pair["candidate"], "hurry", override="alice")
    assert "no GO; an override with a name and a reason: alice: hurry" in forced.override
    assert (await aliases.history(desk.store, "usual"))[0].evidence == ""


async def test_i3_high_takes_neither_imports_nor_overrides(
    desk: Desk, made: Make, placed: Place, tmp_path: Path
) -> None:
    """I3: at stakes high imported evidence is none; of the gateway's own runs it is, and then the shadow is asked for."""
    desk = gated(desk, tmp_path, "grave")
    await placed("grave", {"*": "A"})
    a, b = await made("A"), await made("B")
    await proof(desk, "grave", b, a, origin=Origin.IMPORTED)
    with pytest.raises(Fault, match="gate_not_green") as caught:
        await promote(desk, "grave", b, "go", override="alice")
    assert "was imported" in caught.value.message
    await proof(desk, "grave", b, a)
    with pytest.raises(Fault, match="no_shadow"):
        await promote(desk, "grave", b, "go", override="alice")


async def test_every_release_that_is_replaced_counts(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """With two releases stable in different lanes, a GO against one of them is half a GO."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A", "tenant:acme": "C"})
    a, b, c = await made("A"), await made("B"), await made("C")
    found: list[Evidence] = [await proof(desk, "usual", b, a)]
    with pytest.raises(Fault, match="gate_not_green") as caught:
        await promote(desk, "usual", b, "go")
    assert f"Against {c}" in caught.value.message
    found.append(await proof(desk, "usual", b, c))
    assert (await promote(desk, "usual", b, "go")).changed
    entry = (await aliases.history(desk.store, "usual"))[0]
    assert set(entry.evidence.split()) == {evidence_digest(each) for each in found}


async def test_blocked_and_unknown_releases(desk: Desk, made: Make, placed: Place) -> None:
    """A blocked release, one that does not exist and an alias that does not exist are refused by name."""
    await placed("agent", {"*": "A"})
    b = await made("B")
    await releases.block(desk.store, b, "leaks")
    with pytest.raises(Fault, match="release_blocked"):
        await promote(desk, "agent", b, "go")
    with pytest.raises(Fault, match="release_unknown"):
        await promote(desk, "agent", "rel_0000000000000000", "go")
    with pytest.raises(Fault, match="alias_unknown") as caught:
        await promote(desk, "nobody", b, "go")
    assert "agent" in caught.value.message


async def test_not_during_a_rollout(desk: Desk, made: Make, placed: Place) -> None:
    """While a candidate is being rolled out, promote is refused."""
    state = await placed("agent", {"*": "A"})
    split = Split(candidate=await made("B"), salt="s")
    await aliases.write(desk.store, state, msgspec.structs.replace(state, split=split), desk.entry("start", "t"))
    with pytest.raises(Fault, match="rollout_active"):
        await promote(desk, "agent", await made("C"), "go")


async def test_f13_two_operators_race(desk: Desk, made: Make, placed: Place) -> None:
    """F13: of two promotions at once one wins; the other is told that the pointer moved, and nothing is mixed."""
    await placed("agent", {"*": "A", "tenant:acme": "A"})
    results: dict[str, Moved | Fault] = {}

    async def one(letter: str) -> None:
        who = Desk(desk.store, desk.settings, desk.pins, letter, desk.now_ms)
        release = await made(letter)
        await anyio.sleep(0.05)
        try:
            results[letter] = await promote(who, "agent", release, "race")
        except Fault as fault:
            results[letter] = fault

    async with anyio.create_task_group() as group:
        for letter in "BCD":
            group.start_soon(one, letter)
    state = await desk.alias("agent")
    assert len({lane.release for lane in state.lanes.values()}) == 1
    losers = [result for result in results.values() if isinstance(result, Fault)]
    assert all(fault.code == "pointer_moved" for fault in losers)
    winners = [result for result in results.values() if isinstance(result, Moved)]
    assert len(winners) == state.version - 1
    entries = await aliases.history(desk.store, "agent")
    assert {entry.version for entry in entries} == set(range(1, state.version + 1))


async def test_floating_release_at_each_stakes(desk: Desk, placed: Place) -> None:
    """A floating model is refused for standard and high when promoted, even if it was released for an alias of stakes low."""
    await placed("agent", {"*": "A"})
    usual, grave = await placed("usual", {"*": "A"}), await placed("grave", {"*": "A"})
    floating = await create(desk, ReleaseAsk(model="openai/gpt-4o", alias="agent"))
    assert floating.warnings
    assert (await promote(desk, "agent", floating.id, "try")).changed
    for state in (usual, grave):
        with pytest.raises(Fault, match="unpinned_model"):
            permitted(desk, state, floating.release, Permission("why", "alice"), Standing())
