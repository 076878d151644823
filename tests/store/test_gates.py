"""Runs of the gate on a real server: an answer counts once, whoever asks, and what a silent worker held is open again."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.fault import Fault
from gateway.core.contract.gate_run import GateRun, Outcome
from gateway.store import gates
from gateway.store.client import Store
from gateway.store.gates import Cost

pytestmark = pytest.mark.anyio

RUN = GateRun("gate_1", "agent", "rel_c", "rel_i", "alice", 1, (), request={"temperature": 0})


async def test_a_run_reads_back_and_expires(store: Store) -> None:
    """What was begun is there as it was, for a day; what was never begun is 404."""
    await gates.begin(store, RUN)
    found = await gates.get(store, "gate_1")
    assert (found.run, found.outcomes, found.held, found.cost, found.evidence) == (RUN, {}, frozenset(), Cost(), "")
    assert 0 < await store.do("PTTL", store.keys.gate("gate_1")) <= gates.LIFE_MS
    await gates.finished(store, "gate_1", "e" * 64)
    assert (await gates.get(store, "gate_1")).evidence == "e" * 64
    for lost in (gates.get(store, "gate_2"), gates.claim(store, "gate_2", "w", ["q"])):
        with pytest.raises(Fault, match="gate_unknown"):
            await lost
    with pytest.raises(Fault, match="gate_unknown"):
        await gates.put(store, "gate_2", "q", Outcome(1.0), Cost())
    assert not await store.do("EXISTS", store.keys.gate("gate_2"))


async def test_two_workers_never_have_the_same_question(store: Store) -> None:
    """The first who claims has it; the other gets the next one."""
    await gates.begin(store, RUN)
    assert await gates.claim(store, "gate_1", "one", ["a", "b", "c"]) == ["a"]
    assert await gates.claim(store, "gate_1", "two", ["a", "b", "c"]) == ["b"]
    assert await gates.claim(store, "gate_1", "two", ["a", "b", "c"], 5) == ["c"]
    assert (await gates.get(store, "gate_1")).held == {"a", "b", "c"}


async def test_the_first_answer_stays_and_every_cost_counts(store: Store) -> None:
    """An answer that comes second changes no score; what it cost is spent all the same."""
    await gates.begin(store, RUN)
    await gates.claim(store, "gate_1", "one", ["a"])
    assert await gates.put(store, "gate_1", "a", Outcome(1.0, "", "m-1"), Cost(1, 10, 0, 5, 3))
    assert not await gates.put(store, "gate_1", "a", Outcome(0.0), Cost(2, 10, 1, 5, 3))
    assert await gates.claim(store, "gate_1", "one", ["a"]) == []
    found = await gates.get(store, "gate_1")
    assert found.outcomes == {"a": Outcome(1.0, "", "m-1")}
    assert found.cost == Cost(3, 20, 1, 10, 6)


async def test_what_has_no_score_may_be_asked_again(store: Store) -> None:
    """It is open again, what has a score or is being asked is not; and evidence without the new answer is no longer the run's."""
    await gates.begin(store, RUN)
    await gates.put(store, "gate_1", "a", Outcome(None, "timeout"), Cost(1, 10))
    await gates.put(store, "gate_1", "b", Outcome(0.0), Cost())
    await gates.claim(store, "gate_1", "w", ["c"])
    await gates.finished(store, "gate_1", "e" * 64)
    await gates.reopen(store, "gate_1", ["a", "b", "c", "gone"])
    await gates.reopen(store, "gate_1", [])
    found = await gates.get(store, "gate_1")
    assert (found.outcomes, found.held, found.cost.micro) == ({"b": Outcome(0.0)}, {"c"}, 10)
    assert found.evidence == "e" * 64
    assert await gates.claim(store, "gate_1", "w", ["a"]) == ["a"]
    assert await gates.put(store, "gate_1", "a", Outcome(1.0), Cost())
    assert (await gates.get(store, "gate_1")).evidence == ""


async def test_what_a_silent_worker_held_is_open_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the store's clock; one that is heard of keeps what it holds."""
    await gates.begin(store, RUN)
    monkeypatch.setattr(gates, "SILENT_MS", 200)
    await gates.claim(store, "gate_1", "dead", ["a"])
    await gates.claim(store, "gate_1", "alive", ["b"])
    key = store.keys.gate("gate_1")
    await store.do("HINCRBY", key, "worker dead", -300)
    await gates.claim(store, "gate_1", "alive", ())
    assert await gates.claim(store, "gate_1", "new", ["a", "b"], 2) == ["a"]


def test_an_outcome_without_a_score_is_short() -> None:
    """What is stored per answer is a few bytes, and reads back."""
    for outcome in (Outcome(1.0), Outcome(None, "timeout"), Outcome(0.0, "", "gpt")):
        data = msgspec.json.encode(outcome)
        assert len(data) < 40 and msgspec.json.decode(data, type=Outcome) == outcome
