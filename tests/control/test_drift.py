"""Drift for people: what is open, what to do, and that what answers now is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.control import drift, rollouts
from gateway.control.desk import Desk
from gateway.control.evidence import bring, report_for
from gateway.control.promote import promote
from gateway.control.rollback import rollback
from gateway.control.status import status
from gateway.core.contract.alias import AliasState
from gateway.core.contract.evidence import Word
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import PinClass
from gateway.core.contract.rollout import Phase
from gateway.core.contract.sentinel import Alarm, Callable, Identity, Proof
from gateway.core.pinning.identity import learn, opened
from gateway.store import aliases, epochs, proofs, releases
from tests.control.conftest import MODELS, Make, Place
from tests.control.gates import gated, proof
from tests.control.rolling import rolling
from tests.control.test_conductor import PLAN
from tests.control.test_evidence import brought

pytestmark = pytest.mark.anyio
A, B = MODELS["A"], MODELS["B"]
PIN = A.partition("/")[2]


async def change(desk: Desk, snapshot: str = A, model: str = "other") -> None:
    """Another model answers."""
    said = Identity(snapshot, "openai", model, "fp_1", "rel", "agent", desk.now_ms, mismatch=True)
    await epochs.change(desk.store, snapshot, lambda known: learn(known, said, PinClass.PINNED)[0])


@pytest.mark.parametrize("alarm", [Alarm.MODEL, Alarm.PROBE])
async def test_whoever_goes_to_a_drifted_release_is_warned(desk: Desk, placed: Place, made: Make, alarm: Alarm) -> None:
    """A promotion and a rollback go on and say so, with before and after or the test; after an acknowledgement they say nothing."""
    await placed("agent", {"*": "BA"})
    test = "MMD with the Hamming kernel"
    await epochs.change(desk.store, A, lambda known: opened(known, alarm, PIN, "other", test, desk.now_ms))
    moved = await rollback(desk, "agent", "bad", timeout=0.1)
    assert moved.changed
    (said,) = [each for each in moved.warnings if "not the model that it was" in each]
    assert A in said and f"trivet drift status {A}" in said
    assert (f"other answers in place of {PIN}" if alarm is Alarm.MODEL else test) in said
    await promote(desk, "agent", await made("C"), "next", timeout=0.1)
    moved = await promote(desk, "agent", await made("A"), "back", timeout=0.1)
    assert any("epoch 2" in each for each in moved.warnings)
    strict = msgspec.structs.replace(desk.settings.aliases["agent"], strict=True)
    settings = msgspec.structs.replace(desk.settings, aliases={"agent": strict})
    lanes = (await desk.alias("agent")).lanes
    (said,) = await drift.outlook(replace(desk, settings=settings), "agent", lanes)
    assert ("takes no new run" in said) is (alarm is Alarm.MODEL)
    await placed("usual", {"*": "C"})
    order = rollouts.Order("usual", await made("A"), PLAN, skip_shadow="nothing to compare yet")
    begun = await rollouts.start(desk, order, "next", timeout=0)
    assert any("not the model that it was" in each for each in begun.warnings)
    await drift.acknowledge(desk, A, "as announced")
    assert await drift.outlook(desk, "agent", lanes) == ()


async def test_every_model_in_use_is_listed_and_what_is_open_first(desk: Desk, placed: Place) -> None:
    """With who uses it, who answers, and the way back to a former release on another model: a proven one before the newest."""
    state = await placed("agent", {"*": "BACD"})
    await placed("usual", {"*": "B"})
    await change(desk, B)
    released = (await drift.status(desk))[0]
    assert (released.snapshot, released.open, released.epoch, released.alarm) == (B, True, 2, "model")
    assert (released.pin, released.before, released.after) == ("pinned", B.partition("/")[2], "other")
    assert [(use.alias, use.role) for use in released.used] == [("agent", "stable"), ("usual", "stable")]
    assert [(each.endpoint, each.model, each.mismatch) for each in released.observed] == [("openai", "other", True)]
    agent, usual, right = released.advice
    former = state.lanes["*"].previous
    assert f"trivet rollback agent --to {former[0]} " in agent and A in agent and "not proven" in agent
    assert "no former release" in usual
    assert f"trivet drift ack {B}" in right
    dead = Callable(former[0], Proof.DEAD, 0, "live")
    proven = Callable(former[2], Proof.PROVEN, desk.now_ms - 3_600_000, "probe")
    await proofs.put(desk.store, (dead, proven))
    agent = (await drift.status(desk, B))[0].advice[0]
    assert f"--to {former[2]} " in agent and "proven 1.0 hours ago by probe" in agent
    others = (await drift.status(desk))[1:]
    assert [(row.snapshot, row.open, row.epoch, row.advice) for row in others] == [
        (name, False, 1, ()) for name in sorted((A, MODELS["C"], MODELS["D"]))
    ]
    assert f"{B} is not the model that it was, since epoch 2 (`trivet drift status`)" in (await status(desk)).warnings
    with pytest.raises(Fault, match="snapshot_unknown"):
        await drift.status(desk, "openai/nobody")


async def test_no_way_back_leads_to_another_model_that_changed(desk: Desk, placed: Place) -> None:
    """A proven release on a model with an alarm of its own, of whatever kind, is passed over, also where one model is looked at."""
    state = await placed("agent", {"*": "BCA"})
    newest, older = state.lanes["*"].previous
    await proofs.put(desk.store, [Callable(each, Proof.PROVEN, desk.now_ms, "probe") for each in (newest, older)])
    for snapshot in (B, MODELS["C"]):
        await epochs.change(
            desk.store, snapshot, lambda known: opened(known, Alarm.PROBE, "before", "after", "MMD", desk.now_ms)
        )
    for row in ((await drift.status(desk, B))[0], next(r for r in await drift.status(desk) if r.snapshot == B)):
        assert f"--to {older} " in row.advice[0] and "if what answers now is right" in row.advice[1]


async def test_an_acknowledgement_is_a_new_reference(desk: Desk, placed: Place, made: Make) -> None:
    """It stands in the histories with who and why, ends the refusal of strict aliases, names the rollouts that are frozen still, and
    changes nothing when it is said again."""
    state = await placed("agent", {"*": "A"})
    await rolling(desk, state, await made("B"), Phase.FROZEN)
    frozen = await aliases.get(desk.store, "agent")
    assert frozen is not None and frozen.rollout is not None
    causes = replace_causes(frozen, (f"drift:{A}@2",))
    await aliases.write(desk.store, frozen, causes, desk.entry("rollout_freeze", "test"))
    await change(desk)
    release = state.lanes["*"].release
    await releases.mark(desk.store, release, f"{A}@2")
    with pytest.raises(Fault, match="reason_missing"):
        await drift.acknowledge(desk, A, " ")
    done = await drift.acknowledge(desk, A, "the provider says so")
    assert (done.epoch, done.changed, done.reference, done.aliases, done.frozen) == (
        3, True, ("other",), ("agent",), ("agent",),
    )  # fmt: skip
    (entry, *_) = await aliases.history(desk.store, "agent")
    assert (entry.action, entry.actor, entry.evidence, entry.reason) == (
        "drift_ack", "alice", f"{A}@3", f"{A}: the provider says so",
    )  # fmt: skip
    assert (await desk.release(release)).drifted == ""
    again = await drift.acknowledge(desk, A, "the provider says so")
    assert (again.epoch, again.changed) == (3, False)
    assert not (await drift.status(desk, A))[0].open
    with pytest.raises(Fault, match="snapshot_unknown"):
        await drift.acknowledge(desk, "openai/nobody", "why")


def replace_causes(state: AliasState, causes: tuple[str, ...]) -> AliasState:
    """The alias with its rollout frozen for these."""
    assert state.rollout is not None
    return msgspec.structs.replace(state, rollout=msgspec.structs.replace(state.rollout, causes=causes))


async def test_evidence_of_the_epoch_before_is_stale(desk: Desk, placed: Place, made: Make, tmp_path: Path) -> None:
    """Of either release, whatever raised the alarm, and after an acknowledgement too; what is imported counts for the epoch in which it
    was made, not for the one in which it is brought."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    await proof(desk, "usual", b, a)
    assert (await report_for(desk, "usual", b, a)).verdict is Word.GO
    await epochs.change(desk.store, B, lambda known: opened(known, Alarm.PROBE, "", "", "mmd", desk.now_ms))
    assert f"before {B} was seen to change" in (await report_for(desk, "usual", b, a)).stale[0]
    old = await bring(desk, brought(b, a, started_ms=desk.now_ms - 2, ended_ms=desk.now_ms - 1, note="old"))
    assert old.report.verdict is Word.INSUFFICIENT
    fresh = await bring(replace(desk, now_ms=desk.now_ms + 1), brought(b, a, note="fresh"))
    assert fresh.report.verdict is Word.GO
    await drift.acknowledge(replace(desk, now_ms=desk.now_ms + 2), B, "fine")
    assert (await report_for(desk, "usual", b, a)).verdict is Word.INSUFFICIENT
