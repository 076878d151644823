"""Drift epochs in the store: written over what was read, or not at all."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.sentinel import Alarm, Sighted, Watched
from gateway.core.pinning.identity import opened
from gateway.store import aliases, epochs
from gateway.store.client import Store

pytestmark = pytest.mark.anyio
NAME = "openai/gpt-4o-2024-08-06"


async def test_only_one_of_two_writers_writes(store: Store) -> None:
    """Both read the same; the second write changes nothing, and what others keep in the hash stays."""
    await store.do("HSET", store.keys.snapshot(NAME), "retirement", "x")
    kept = (await epochs.load(store, [NAME]))[NAME]
    assert kept == epochs.Kept()
    known = Watched(observed={"openai": Sighted("m", "f", 1, 2, mismatch=True)}, names={"m": 2}, seen="5-1", told=1)
    known = opened(known, Alarm.MODEL, "a", "m", "words", 7, "openai")
    assert await epochs.save(store, NAME, kept, known)
    assert not await epochs.save(store, NAME, kept, Watched())
    assert (await epochs.load(store, [NAME]))[NAME] == epochs.Kept(known, 1)
    assert await epochs.numbers(store, [NAME, "openai/other"]) == {NAME: 2}
    assert await store.do("HGET", store.keys.snapshot(NAME), "retirement") == b"x"


async def test_a_change_is_made_over_the_newest(store: Store) -> None:
    """Nothing is written where nothing is wanted; a hash that cannot be read is said, not replaced."""
    made = await epochs.change(store, NAME, lambda known: opened(known, Alarm.PROBE, "", "", "mmd", 3))
    assert made is not None and made.epoch.number == 2
    assert await epochs.change(store, NAME, lambda _: None) is None
    await store.do("HSET", store.keys.snapshot(NAME), "observed", "[")
    with pytest.raises(Fault) as caught:
        await epochs.load(store, [NAME])
    assert caught.value.code == "snapshot_unreadable"


async def test_a_note_stands_once(store: Store) -> None:
    """Sent again, by whoever took over, it is not written again."""
    entry = HistoryEntry(1, "sentinel", "drift", "why", 3, None, None, operation="drift:x@2", evidence="x@2")
    assert await epochs.note(store, "agent", entry)
    assert not await epochs.note(store, "agent", entry)
    assert [found.evidence for found in await aliases.history(store, "agent")] == ["x@2"]


@pytest.mark.parametrize(
    ("one", "other", "is_later"), [("5-1", "5-0", True), ("10-0", "9-9", True), ("5-1", "5-1", False)]
)
def test_ids_compare_as_numbers(one: str, other: str, is_later: bool) -> None:
    """Not as texts."""
    assert epochs.later(one, other) is is_later
