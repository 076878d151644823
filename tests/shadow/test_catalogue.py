"""What the shadow reads of the main store, and how old it may be."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import Leg, Mode, Release, Triple
from gateway.shadow.catalogue import KEPT, StoreCatalogue
from gateway.shadow.compare import Tools
from gateway.shadow.ports import Skip
from gateway.store import aliases, releases
from gateway.store.client import Store
from tests.live.legs import made, toolset

pytestmark = pytest.mark.anyio
ENTRY = HistoryEntry(1, "alice", "first_release", "", 0, None, None, operation="x")


@dataclass
class Clock:
    """Seconds that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def catalogue(store: Store, clock: Clock) -> StoreCatalogue:
    """A catalogue under test."""
    return StoreCatalogue(lambda: store, clock)


async def test_what_can_change_is_a_second_old_at_most(store: Store) -> None:
    """A blocked release and a new alias are seen within a second, and not asked for before."""
    clock = Clock()
    seen = catalogue(store, clock)
    assert await seen.alias("support") is None and await seen.release("rel_1") is None
    release = Release("rel_1", Triple("openai/m"))
    await releases.put(store, release)
    await aliases.create(store, AliasState("support", 1, {"*": Lane("rel_1")}), ENTRY)
    assert await seen.alias("support") is None
    clock.now += 1.1
    state = await seen.alias("support")
    assert state is not None and (await seen.release("rel_1")) == release
    await releases.block(store, "rel_1", "bad")
    clock.now += 1.1
    blocked = await seen.release("rel_1")
    assert blocked is not None and blocked.blocked == "bad"


async def test_legs_and_tools_come_from_artifacts(store: Store) -> None:
    """Prompt and tools are parsed once per release; only a toolset that is served is the release's own."""
    seen = catalogue(store, Clock())
    served, artifacts = made("Be {{how}}.", toolset("look"))
    verified, _ = made(tools=toolset("look"), tools_mode=Mode.VERIFY)
    await releases.put(store, served, artifacts)
    await releases.put(store, verified)
    legs = await seen.legs(served)
    assert legs is not None and legs.template is not None and await seen.legs(served) is legs
    assert await seen.tools(served, verified) == Tools(toolset("look"), b"")
    assert await seen.legs(Release("rel_x", Triple("openai/m"))) is None


@pytest.mark.parametrize(("data", "reason"), [(None, "artifact_missing"), (b'{"v":2}', "artifact_unreadable")])
async def test_an_artifact_that_cannot_be_had_is_a_skip(store: Store, data: bytes | None, reason: str) -> None:
    """Nothing stands in for a leg."""
    release = Release("rel_1", Triple("openai/m", tools=Leg(Mode.SERVE, "d" * 64)))
    await releases.put(store, release, {"d" * 64: data} if data is not None else {})
    with pytest.raises(Skip) as caught:
        await catalogue(store, Clock()).legs(release)
    assert caught.value.reason == reason


async def test_what_is_kept_is_bounded(store: Store) -> None:
    """However many names are asked for, some are kept."""
    seen = catalogue(store, Clock())
    for number in range(KEPT + 5):
        await seen.release(f"rel_{number}")
    assert len(seen._releases._values) <= KEPT
