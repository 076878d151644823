"""Who answers is told when it is new, and costs a look-up when it is not."""

from __future__ import annotations

import timeit

import pytest

from gateway.core.contract.alias import SideEffects, Stakes
from gateway.core.contract.release import PinClass, Release
from gateway.core.contract.sentinel import Identity
from gateway.live import identity
from gateway.live.identity import Identities
from gateway.store import epochs
from gateway.store.client import Store
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, completion

PINNED = release("openai/gpt-4o-2024-08-06")
FLOATS = Release("rel_00000000000000f1", release("openai/gpt-4o").triple, PinClass.FLOATING)


class Line:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[Identity] = []

    def tell(self, said: Identity) -> None:
        """A telling."""
        self.told.append(said)


@pytest.fixture
def line(gateway: LiveGateway) -> Line:
    """What the gateway tells."""
    kept = Line()
    gateway.worker.identities = Identities(kept)  # type: ignore[arg-type]
    return kept


def told(line: Line) -> list[tuple[str, str, str, bool]]:
    """Model, fingerprint, endpoint and mismatch of each."""
    return [(said.model, said.fingerprint, said.endpoint, said.mismatch) for said in line.told]


def test_first_sight_and_changes_are_told(gateway: LiveGateway, provider: Provider, line: Line) -> None:
    """By streams too; the same again is not, and an error names nobody."""
    gateway.alias("gpt-4o", PINNED)
    names = ["gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "openai/gpt-4o-2024-08-06", "gpt-3", "gpt-3"]
    provider.then(*(completion("x", name) for name in names))
    for _ in names:
        gateway.chat("gpt-4o")
    found = told(line)
    assert [each[0] for each in found] == ["gpt-4o-2024-08-06", "openai/gpt-4o-2024-08-06", "gpt-3"]
    assert [each[3] for each in found] == [False, False, True]
    assert {(said.snapshot, said.release, said.alias) for said in line.told} == {
        ("openai/gpt-4o-2024-08-06", PINNED.id, "gpt-4o")
    }


def test_a_floating_name_may_resolve_to_any(gateway: LiveGateway, provider: Provider, line: Line) -> None:
    """It is told, so that a move is noticed, and is nobody's mismatch: nothing is flagged or counted."""
    gateway.alias("floats", FLOATS, stakes=Stakes.LOW, side_effects=SideEffects.NONE)
    provider.then(completion("x", "gpt-4o-2024-11-20"))
    assert gateway.chat("floats").status == 200
    assert [(each[0], each[3]) for each in told(line)] == [("gpt-4o-2024-11-20", False)]
    assert not any("model_mismatch" in name for name in gateway.counted)


def test_what_is_told_is_bounded(
    gateway: LiveGateway, provider: Provider, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Per tick, per words, and forgotten after a while, so that what is still so is told again."""
    monkeypatch.setattr(identity, "PER_TICK", 3)
    monkeypatch.setattr(identity, "PER_WORD", 2)
    monkeypatch.setattr(identity, "TICKS", 3)
    who = gateway.worker.identities = Identities(line)  # type: ignore[arg-type]
    gateway.alias("gpt-4o", PINNED)

    def answers(*names: str) -> list[str]:
        line.told.clear()
        for name in names:
            provider.then(completion("x", name))
            gateway.chat("gpt-4o")
        return [said.model for said in line.told]

    assert answers("a", "b", "c", "d") == ["a", "b", "c"]
    who.tick()
    assert answers("d", "a", "b", "c") == ["d", "a", "b"]
    who.tick()
    assert answers("a", "b", "a", "b") == []
    who.tick()
    assert answers("a", "a") == ["a"]


async def _stored(gateway: LiveGateway) -> list[Identity]:
    async with Store(gateway.settings.store) as store:
        return [said for _, said in await epochs.identities(store, "0-0")]


def test_it_arrives_in_the_store(gateway: LiveGateway, provider: Provider) -> None:
    """Over the bulk line, when the answer has left."""
    gateway.worker.identities = Identities(gateway.store.identities)
    gateway.alias("gpt-4o", PINNED)
    gateway.chat("gpt-4o")
    gateway.wait(lambda: gateway.call(_stored(gateway)))
    (said,) = gateway.call(_stored(gateway))
    assert said.model == "gpt-4o-2024-08-06" and not said.mismatch


def test_a_known_answer_costs_next_to_nothing() -> None:
    """One look-up: well below a microsecond (0.1 measured; the bound is for busy machines)."""
    known = {("openai/gpt-4o-2024-08-06", "openai"): ("gpt-4o-2024-08-06", "fp_1")}
    names = {
        "known": known,
        "snapshot": "openai/gpt-4o-2024-08-06",
        "at": "openai",
        "a": "gpt-4o-2024-08-06",
        "f": "fp_1",
    }
    spent = min(timeit.repeat("known.get((snapshot, at)) != (a, f)", globals=names, number=20_000, repeat=5)) / 20_000
    assert spent < 1e-6
