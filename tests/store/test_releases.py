"""Releases and artifacts in the store."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from gateway.core.contract.fault import Fault
from gateway.core.contract.release import PinClass, Release, Triple, release_id
from gateway.store import releases
from gateway.store.client import Store
from tests.store.test_aliases import listening

pytestmark = pytest.mark.anyio


def release(model: str, created_ms: int = 1) -> Release:
    """A release of a model."""
    triple = Triple(f"openai/{model}")
    return Release(release_id(triple), triple, PinClass.PINNED, created_ms, "alice")


async def test_put_is_idempotent(store: Store) -> None:
    """The first to store a triple is remembered; storing it again changes nothing; artifacts are there first."""
    first = release("a")
    assert await releases.put(store, first, {"d" * 64: b"text"})
    assert not await releases.put(store, msgspec.structs.replace(first, actor="bob", created_ms=9))
    assert await releases.get(store, first.id) == first
    assert await releases.artifact(store, "d" * 64) == b"text"
    assert await releases.artifact(store, "e" * 64) is None
    assert await releases.get(store, "rel_none") is None


async def test_newest_first(store: Store) -> None:
    """Lists are by time of creation; ids without a record are left out."""
    for number, model in enumerate("abc"):
        await releases.put(store, release(model, number))
    assert [r.snapshot.model for r in await releases.newest(store)] == ["c", "b", "a"]
    assert len(await releases.newest(store, 2)) == 2
    assert await releases.many(store, ["rel_none"]) == {}


async def test_block_tells_and_changes_nothing_else(store: Store) -> None:
    """Only `blocked` changes; each call is told on the pointers channel; an unknown release is refused."""
    kept = release("a")
    await releases.put(store, kept)
    async with listening(store) as messages:
        assert await releases.block(store, kept.id, "leaks") == (msgspec.structs.replace(kept, blocked="leaks"), True)
        assert (await releases.block(store, kept.id, "leaks"))[1] is False
        assert await messages.get() == await messages.get() == f"{kept.id} 0"
    assert await releases.block(store, kept.id, "") == (kept, True)
    with pytest.raises(Fault, match="release_unknown"):
        await releases.block(store, "rel_none", "leaks")


async def test_block_and_unblock_race(store: Store) -> None:
    """Blocks that race end in one of the asked states, never in a broken record."""
    kept = release("a")
    await releases.put(store, kept)

    async def flip(word: str) -> None:
        for _ in range(20):
            try:
                await releases.block(store, kept.id, word)
            except Fault as fault:
                assert fault.code == "release_busy"

    async with anyio.create_task_group() as group:
        for word in ("x", "y", ""):
            group.start_soon(flip, word)
    last = await releases.get(store, kept.id)
    assert last is not None
    assert last.blocked in {"x", "y", ""}
    assert msgspec.structs.replace(last, blocked="") == kept


async def test_unreadable_record(store: Store) -> None:
    """A record of another form is a fault that names the release."""
    await store.do("SET", store.keys.release("rel_odd"), "{")
    with pytest.raises(Fault, match="release_unreadable"):
        await releases.get(store, "rel_odd")
