"""What watches a snapshot's behaviour is read as the sentinel wrote it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.control import drift
from gateway.control.desk import Desk
from gateway.control.drift_windows import SHOWN, watched
from gateway.core.contract.probing import Passive, Series, Window
from gateway.core.stats import detector
from gateway.settings.model import ProbeDeclared
from gateway.store import probes
from tests.control.conftest import MODELS, Place

pytestmark = pytest.mark.anyio
A = MODELS["A"]
WINDOWS = tuple(Window(1_795_392_000_000 + n, 0.1, 0.5, 20) for n in range(SHOWN + 2))


async def kept(desk: Desk, release: str) -> None:
    """Two series of a release, the newer one with everything, and its traffic."""
    old = Series(reference_ms=1, begun_ms=1, windows=WINDOWS[:1])
    new = Series(
        reference_ms=2, begun_ms=2, windows=WINDOWS, going=True, open={"p": ("a",)}, discarded=3,
        chances_reference=({"a": -1.0},), chances_reference_ms=5, chances_past=(0.1, 0.1, 0.1, 0.1, 0.1, 0.2),
    )  # fmt: skip
    for digest, series in (("one", old), ("two", new)):
        await probes.change(desk.store, A, f"{release}:{digest}", lambda _, made=series: made)  # type: ignore[misc]
    sums = {"refusal": detector.seen(detector.BEGIN, 0.1, bad=True)}
    seen = Passive(units=600, rates={"refusal": 0.1}, sums=sums, reference_ms=7, alarms=1, alarm="long", alarm_ms=1)
    await probes.put_passive(desk.store, A, f"passive:agent:{release}", seen)


async def test_each_test_has_its_values_and_its_threshold(desk: Desk) -> None:
    """The newest set of prompts counts, at most so many windows; what cannot be read is left out."""
    await kept(desk, "rel_1")
    await desk.store.do("HSET", desk.store.keys.probe(A), "passive:x:rel_2", "{", "rel_3:x", "no")
    answers, chances, traffic = (await watched(desk.store, [A]))[A]
    assert (answers.test, answers.release, len(answers.points), answers.limit) == ("mmd", "rel_1", SHOWN, 0.01)
    assert (answers.reference_ms, answers.points[0].value) == (2, 0.5)
    assert answers.note == "a window is in progress: 1 answers; 3 discarded because they were not whole in time"
    assert (chances.test, chances.limit, chances.reference_ms) == ("logprob", 1.0, 5)
    assert [point.name for point in chances.points][-2:] == ["window -1", "last window"]
    assert (traffic.test, traffic.limit, traffic.reference_ms) == ("traffic", 1e4, 7)
    assert [point.name for point in traffic.points] == ["refusal"]
    assert "600 answers seen; last alarm long" in traffic.note
    await probes.put_passive(desk.store, A, "passive:agent:rel_1", Passive(units=12))
    assert (await watched(desk.store, [A]))[A][-1].note == "12 answers of the reference are there"
    assert await watched(desk.store, []) == {}


async def test_the_list_has_them_where_probes_are_declared(desk: Desk, placed: Place) -> None:
    """Of one snapshot they are always read."""
    state = await placed("agent", {"*": "A"})
    await kept(desk, state.lanes["*"].release)
    assert [row.tests for row in await drift.status(desk)] == [()]
    assert len((await drift.status(desk, A))[0].tests) == 3
    declared = msgspec.structs.replace(desk.settings.aliases["agent"], probes=ProbeDeclared("p.jsonl"))
    settings = msgspec.structs.replace(desk.settings, aliases={"agent": declared})
    assert len((await drift.status(replace(desk, settings=settings)))[0].tests) == 3
