"""What users of the existing tools ask for, each row that takes a store and a loop. The issue each row is from stands in its test.

Rows that the pure core decides are in tests/core/rollout/test_asks.py, those that take processes in tests/faults/test_i_rollout.py, retirement dates in test_lifecycle.py.
"""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import pytest

from gateway.control import rollouts
from gateway.control.conductor import Conductor
from gateway.control.desk import Desk
from gateway.control.facts import LOOK_MS
from gateway.control.promote import promote
from gateway.control.rollback import rollback
from gateway.core.contract.fault import Fault
from gateway.core.contract.journal import Event
from gateway.core.contract.rollout import TERMINAL, Phase, Word
from gateway.telemetry.counters import Registry
from gateway.wiring.conducting import Counted
from tests.control.conftest import Make, Place
from tests.control.gates import gated, proof
from tests.control.rolling import SECOND, Theatre, rolling
from tests.house.tree import ROOT
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(desk: Desk, placed: Place) -> Theatre:
    """Alias `agent`, stakes low, on release A with B before."""
    await placed("agent", {"*": "AB"})
    return Theatre(desk)


async def begun(stage: Theatre, made: Make, phase: Phase) -> str:
    """A rollout of C in this phase that a person answers for; the candidate."""
    candidate = await made("C")
    await rolling(stage.desk, await stage.desk.alias("agent"), candidate, phase, override="alice: test")
    return candidate


def loop_of(stage: Theatre, name: str = "one") -> Conductor:
    """A loop that looks at every alias in every round."""
    return Conductor(stage.desks, name, list_seconds=0)


async def test_flagger_616_rollback_after_promotion_is_one_write(stage: Theatre, made: Make) -> None:
    """After completion a rollback is one pointer write with one entry; no rollout begins, nobody looks at a number, and the loop has
    nothing to do from then on."""
    c, a = await begun(stage, made, Phase.PROMOTING), await made("A")
    loop = loop_of(stage)
    await stage.due()
    assert [step.phase for step in (await loop.round()).steps] == [Phase.COMPLETED]
    done = await stage.desk.alias("agent")
    assert done.lanes["*"].release == c
    moved = await rollback(stage.desk, "agent", "worse", timeout=0)
    after = await stage.desk.alias("agent")
    assert (moved.version, after.version) == (done.version + 1, done.version + 1)
    assert (after.lanes["*"].release, after.split, after.shadows) == (a, None, ())
    assert done.rollout is not None
    assert after.rollout is not None
    assert (after.rollout.id, after.rollout.phase) == (done.rollout.id, Phase.ROLLED_BACK)
    stage.later(100 * SECOND)
    for _ in range(3):
        again = await loop.round()
        assert (again.steps, again.facts) == ([], {})
    assert (await stage.desk.alias("agent")).version == after.version


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DRAFT])
async def test_flagger_413_rollback_works_in_every_phase(stage: Theatre, made: Make, phase: Phase) -> None:
    """Whatever phase a rollout is in, a person's rollback leaves nobody on the candidate; where it was over already, nothing moves
    towards the candidate."""
    c = await begun(stage, made, phase)
    ended_before = phase in TERMINAL - {Phase.COMPLETED}
    await rollback(stage.desk, "agent", "worse", timeout=0)
    after = await stage.desk.alias("agent")
    assert after.split is None
    assert after.rollout is not None
    assert after.rollout.phase is (phase if ended_before else Phase.ROLLED_BACK)
    assert all(lane.release != c for lane in after.lanes.values())
    assert c in after.barred


@pytest.mark.parametrize("trips", [(), ("model_gone",)])
async def test_flagger_2_argo_2087_rollbacks_are_counted_by_reason(
    stage: Theatre, made: Make, trips: tuple[str, ...]
) -> None:
    """Each rollback that the loop made has its reason in the metrics, and how long the harm lasted; a harmless end has none."""
    await begun(stage, made, Phase.CANARY)
    registry = Registry()
    counted, loop = Counted(registry), loop_of(stage)
    await stage.serve(9, bad=() if trips else ("error",))
    if trips:
        state = await stage.desk.alias("agent")
        assert state.split is not None
        told = Event("run-1", state.split.candidate, "canary", stage.now_ms, 500, version=state.version, trips=trips)
        entries = [msgspec.structs.replace(told, run=f"run-{n}", unit=f"run-{n}") for n in range(3)]
        key = stage.desk.store.keys.events("agent")
        await stage.desk.store.read_many([("XADD", key, "*", "entry", msgspec.json.encode(e)) for e in entries])
    stage.later(1500)
    counted.round(await loop.round())
    cause = "tripwires" if trips else "guardrail"
    assert registry.counter("rollout_rollbacks_total", cause).n == 1
    assert registry.counter("rollout_transitions_total", "agent", "regression", cause).n == 1
    assert registry.histogram("rollout_revert_seconds").sum == (0 if trips else 1.5)
    counted.round(await loop.round())
    assert registry.counter("rollout_rollbacks_total", cause).n == 1


async def test_flagger_1801_a_regression_while_waiting_rolls_back(stage: Theatre, made: Make) -> None:
    """Bad runs that come while a person is waited for take the candidate off in the next round, and the approval comes too late."""
    await begun(stage, made, Phase.AWAITING_APPROVAL)
    loop = loop_of(stage)
    assert (await loop.round()).steps == []
    await stage.serve(9, bad=("error",))
    assert [step.word for step in (await loop.round()).steps] == [Word.REGRESSION]
    with pytest.raises(Fault, match="rollout_state"):
        await rollouts.order(stage.desk, "agent", Word.APPROVE, timeout=0)
    assert (await stage.desk.alias("agent")).split is None


async def test_argo_1700_a_sample_counts_for_the_release_it_came_from(stage: Theatre, made: Make) -> None:
    """A failure of the stable release that says it is the canary's, and one of a candidate before, count for nobody."""
    c = await begun(stage, made, Phase.CANARY)
    state = await stage.desk.alias("agent")
    await stage.serve(5)
    store, key = stage.desk.store, stage.desk.store.keys.events("agent")
    for number in range(20):
        for release in (await made("A"), await made("D")):
            name = f"odd-{number}"
            odd = Event(name, release, "canary", stage.now_ms, 500, unit=name, version=state.version, bad=("error",))
            await store.do("XADD", key, "*", "entry", msgspec.json.encode(odd))
    done = await loop_of(stage).round()
    assert done.steps == []
    (finding,) = done.facts["agent"].findings
    assert (finding.canary_bad, finding.canary_units) == (0, 5)
    await stage.serve(9, bad=("error",))
    assert [step.word for step in (await loop_of(stage).round()).steps] == [Word.REGRESSION]
    assert c in (await stage.desk.alias("agent")).barred


@pytest.mark.parametrize("stuck", ["promoting", "no loop", "unreadable", "paused loop"])
async def test_argo_4461_1259_abort_ends_what_is_stuck(stage: Theatre, made: Make, stuck: str) -> None:
    """An abort works with most runs on the candidate, with nobody who drives, with numbers that cannot be read, and under a loop that
    writes a moment later: it stays aborted, at weight 0."""
    await begun(stage, made, Phase.PROMOTING)
    loop = loop_of(stage)
    if stuck == "unreadable":
        await stage.desk.store.do("SET", stage.desk.store.keys.rollout_counts("agent"), "broken")
        for _ in range(5):
            await loop.round()
        assert (await stage.phase())[0] == "frozen"
    elif stuck != "no loop":
        await loop.round()
    if stuck == "paused loop":
        await stage.due()
    assert (await rollouts.order(stage.desk, "agent", Word.ABORT, "no", timeout=0)).changed
    for _ in range(6):
        assert (await loop.round()).steps == []
    after = await stage.desk.alias("agent")
    assert (await stage.phase())[0] == "aborted"
    assert (after.split, after.lanes["*"].release) == (None, await made("A"))


async def test_argo_1411_4393_the_verdict_is_what_is_stored(
    desk: Desk, made: Make, placed: Place, tmp_path: Path, package_redis: RealRedis
) -> None:
    """The gate is read from stored evidence each time: one that was GO and cannot be read any more opens nothing, freezes what is under
    way, and promotes nobody; a store that does not answer does not either."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "AB"})
    a, c = await made("A"), await made("C")
    stage = Theatre(desk)
    await proof(desk, "usual", c, a)
    await rolling(desk, await desk.alias("usual"), c, Phase.CANARY)
    loop = loop_of(stage)
    await loop.round()
    (key,) = await desk.store.do("KEYS", "trivet:evidence:*")
    await desk.store.do("SET", key, "{}")
    stage.later(LOOK_MS)
    await stage.due("usual")
    for _ in range(4):
        assert (await loop.round()).steps == []
        stage.later(LOOK_MS)
    assert [step.causes for step in (await loop.round()).steps] == [("analysis_error",)]
    await desk.store.do("DEL", key)
    stage.later(LOOK_MS)
    done = await loop.round()
    assert [step.word for step in done.steps] == [Word.FREEZE]
    assert done.steps[0].causes == ("gate_missing",)
    package_redis.signal(signal.SIGSTOP)
    try:
        with pytest.raises(Fault):
            await loop.round()
    finally:
        package_redis.signal(signal.SIGCONT)
    assert await stage.phase("usual") == ("frozen", 0)
    await desk.store.do("SET", key, "{}")
    await rollouts.order(desk, "usual", Word.ABORT, "no", timeout=0)
    await rollouts.retry(desk, "usual", "again", timeout=0)
    with pytest.raises(Fault, match="evidence_unreadable"):
        await promote(desk, "usual", c, "hurry", override="alice")
    assert (await desk.alias("usual")).lanes["*"].release == a


def test_flagger_1694_argo_451_what_is_left_out_is_said() -> None:
    """A rollback in steps, and rollouts of several services that wait for each other, are not there: the documentation says so."""
    told = (ROOT / "docs" / "rollout.md").read_text()
    _, found, rest = told.partition("## What is left out")
    assert found
    assert "in steps" in rest
    assert "several aliases" in rest.lower()
