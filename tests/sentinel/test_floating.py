"""Floating names that aliases were learnt under are asked now and then, so that a move upstream is told."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.release import Triple, release_id
from gateway.live.identity import Identities
from gateway.sentinel.floating import AGAIN_MS, Names
from gateway.sentinel.identity import Watcher
from gateway.settings import tables
from gateway.store import aliases, proofs, releases
from tests.provider import answer, completion
from tests.sentinel.conftest import Scene

pytestmark = pytest.mark.anyio
HOUR = 3_600_000
NAME, PIN, NEXT = "openai/gpt-4o", "gpt-4o-2024-11-20", "gpt-4o-2025-02-02"


@pytest.fixture
def learned(scene: Scene) -> Scene:
    """With an alias that was learnt as `gpt-4o`, pinned to the first release."""
    scene.gateway.worker.identities = Identities(scene.gateway.store.identities)
    scene.gateway.alias("gpt-4o", scene.kept[0], learned=True)
    return scene


async def look(scene: Scene, names: Names, **members: Any) -> dict[str, int]:
    """What a look came to, with the settings' probes changed so."""
    settings = msgspec.structs.replace(scene.settings, probes=msgspec.structs.replace(scene.settings.probes, **members))
    return dict(await names.look(scene.store, settings, tables.pinning(), scene.port, scene.clock))


async def moved(scene: Scene, told: int) -> list[str]:
    """Moves in the history of the learnt alias, once so many answers were told and somebody read them."""
    watcher = Watcher()
    with anyio.fail_after(5):
        while await scene.store.do("XLEN", scene.store.keys.identities()) < told:
            await anyio.sleep(0.01)
    await watcher.look(scene.store, scene.settings, tables.pinning(), scene.clock())
    return [each.reason for each in await aliases.history(scene.store, "gpt-4o") if each.action == "moved"]


async def test_a_move_is_told_although_nobody_calls_the_name(learned: Scene) -> None:
    """Against what it was learnt as; asked again every six hours, the alias stays on its pin, and the calls are probes."""
    scene, names = learned, Names()
    scene.provider.default = completion("a", PIN)
    assert await look(scene, names) == {"worked": 1}
    assert await look(scene, names) == {}
    assert await moved(scene, 1) == []
    scene.provider.default = completion("a", NEXT)
    scene.ahead_ms += 6 * HOUR
    assert await look(scene, names) == {"worked": 1}
    assert await moved(scene, 2) == [f"{NAME} resolves to {NEXT}, before to {PIN}"]
    assert [each.json["model"] for each in scene.provider.requests] == ["gpt-4o", "gpt-4o"]
    assert (await proofs.taken(scene.store, scene.clock())).calls >= 1
    witness = await releases.get(scene.store, release_id(Triple(NAME)))
    assert witness is not None and witness.actor == "sentinel"
    state = await aliases.get(scene.store, "gpt-4o")
    assert state is not None and state.lanes["*"].release == scene.ids()[0]


async def test_a_first_answer_is_held_against_what_was_learnt(learned: Scene) -> None:
    """A name that moved before it was asked for the first time is told as well."""
    learned.provider.default = completion("a", NEXT)
    await look(learned, Names())
    assert await moved(learned, 1) == [f"{NAME} resolves to {NEXT}, before to {PIN}"]


async def test_who_cannot_be_asked_is_left_alone(learned: Scene) -> None:
    """For an hour after an error; a day without calls, names that do not float and probes that are off cost nothing."""
    names = Names()
    learned.provider.default = answer({}, 429)
    assert await look(learned, names) == {"trouble": 1}
    assert await look(learned, names) == {}
    learned.ahead_ms += AGAIN_MS
    assert await look(learned, names, calls=1) == {"unasked": 1}
    assert await look(learned, Names(), warm_every=0.0) == await look(learned, Names(), calls=0) == {}
    assert await moved(learned, 0) == []
    state = AliasState("gpt-4o-2024-11-20", 1, {"*": Lane(learned.ids()[0])}, learned=True)
    learned.gateway.alias(state.name, learned.kept[0], learned=True)
    own = msgspec.structs.replace(learned.settings.providers["openai"], api_key="client")
    settings = msgspec.structs.replace(learned.settings, providers={"openai": own})
    found = await Names().look(learned.store, settings, tables.pinning(), learned.port, learned.clock)
    assert found == {"impossible": 1}
