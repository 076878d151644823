"""When the store is not the one this host remembers."""

from __future__ import annotations

import pytest

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.records import HistoryEntry
from gateway.store import aliases, recovery
from gateway.store.client import Store
from gateway.store.records import PointerFile

pytestmark = pytest.mark.anyio

STATE = AliasState("agent", 4, {"*": Lane("rel_1")})
ENTRY = HistoryEntry(1, "alice", "x", "why", 0, None, None, operation="o")


async def test_first_to_ask_names_the_store(store: Store) -> None:
    """A new store gets one identity, whoever asks first, and keeps it."""
    assert (await recovery.identity(store)).instance == ""
    first = await recovery.identify(store)
    assert first.instance
    assert first.schema == 1
    assert (await recovery.identify(store, "other")) == first


async def test_nothing_is_lost_where_nothing_is_remembered(store: Store) -> None:
    """Without a copy, or with an empty one, an empty store is simply new."""
    assert await recovery.loss(store, None) == ""
    assert await recovery.loss(store, PointerFile("i")) == ""


async def test_each_kind_of_loss(store: Store) -> None:
    """F10: empty, another one, or behind: each is told in its own words."""
    copy = PointerFile("i", 1, {"agent": STATE})
    assert "empty" in await recovery.loss(store, copy)
    await recovery.identify(store, "j")
    assert "another store (instance j)" in await recovery.loss(store, copy)
    await store.do("HSET", store.keys.store(), "instance", "i")
    assert "forgotten pointer writes" in await recovery.loss(store, copy)
    assert await aliases.create(store, STATE, ENTRY)
    assert await recovery.loss(store, copy) == ""


async def test_restore_goes_on_where_it_was_interrupted(store: Store) -> None:
    """A restore that was cut after the first alias is completed by the next one."""
    other = AliasState("b", 2, {"*": Lane("rel_1")})
    copy = PointerFile("i", 1, {"agent": STATE, "b": other})
    await aliases.lift(store, None, STATE, ENTRY)
    assert await recovery.restore(store, copy, ENTRY) == [other]
    assert await aliases.every(store) == copy.aliases
    assert (await recovery.identity(store)).instance == "i"


async def test_bootstrap_is_one_word(store: Store) -> None:
    """Bootstrap names the former stores in the same write as the new identity; without a loss it changes nothing."""
    copy = PointerFile("i", 1, {"agent": STATE})
    await recovery.identify(store, "j")
    known = await recovery.bootstrap(store, copy, ENTRY)
    assert known.instance not in {"i", "j"}
    assert known.replaces.split() == ["j", "i"]
    assert recovery.overruled(known, copy)
    assert await recovery.bootstrap(store, copy, ENTRY) == known
