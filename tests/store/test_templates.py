"""What is kept of templates, written once however many learn."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.journal import Sightings
from gateway.core.contract.records import HistoryEntry
from gateway.store import aliases, templates
from gateway.store.client import Store
from gateway.store.templates import Kept

pytestmark = pytest.mark.anyio


async def test_only_one_of_two_learners_writes(store: Store) -> None:
    """Both read the same version; the second write changes nothing, history included."""
    kept = await templates.load(store, "agent")
    assert kept == Kept()
    after = msgspec.structs.replace(kept, seen="5-1", text="4-0", lasting=(b"a", b"b"), passing=(b"c", b"d"))
    entry = HistoryEntry(1, "learner", "undeclared", "why", 3, None, None, evidence="p_1")
    assert await templates.save(store, "agent", after, ["d1", "d2"], [entry, entry])
    assert not await templates.save(store, "agent", after, ["d3"], [entry])
    assert await templates.load(store, "agent") == msgspec.structs.replace(after, version=1)
    assert await store.do("SMEMBERS", store.keys.undeclared("agent")) == {b"d1", b"d2"}
    assert [found.evidence for found in await aliases.history(store, "agent")] == ["p_1", "p_1"]
    assert 0 < await store.do("PTTL", store.keys.learning("agent")) <= templates.LEARNING_MS
    assert await store.do("PTTL", store.keys.templates("agent")) == -1


async def test_what_is_not_settled_goes_by_itself(store: Store) -> None:
    """Once its hour is over the passing part is gone, and the rest is read without it."""
    kept = Kept(0, "1-0", "1-0", (b"a", b"b"), (b"c", b"d"))
    assert await templates.save(store, "agent", kept, [])
    await store.do("DEL", store.keys.learning("agent"))
    assert (await templates.load(store, "agent")).passing == (b"", b"")


async def test_streams_are_read_and_trimmed(store: Store) -> None:
    """Entries go once they were learnt, later ones stay; what cannot be read goes with them."""
    key = store.keys.sightings()
    good = msgspec.json.encode(Sightings("agent", 1, ()))
    for identifier, entry in (("5-1", good), ("5-2", b"{"), ("6-0", good)):
        await store.do("XADD", key, identifier, "entry", entry)
    await store.do(
        "XADD", store.keys.texts(), "5-1", "alias", "agent", "kind", "prompt", "digest", "d", "text", b"\xff"
    )
    assert [(i, s.alias) for i, s in await templates.sightings(store)] == [
        ("5-1", "agent"),
        ("5-2", ""),
        ("6-0", "agent"),
    ]
    assert (await templates.texts(store))[0].text == b"\xff"
    await templates.trim(store, "5-2", "")
    assert [identifier for identifier, _ in await templates.sightings(store)] == ["6-0"]
    assert len(await templates.texts(store)) == 1


def test_ids_are_compared_as_numbers() -> None:
    """10-0 is after 9-5, and 9-10 after 9-5."""
    assert templates.after("10-0", "9-5") and templates.after("9-10", "9-5") and not templates.after("9-5", "9-5")
