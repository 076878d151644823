"""Series of probes in the store: changed from what was read or not at all, and unreadable is empty."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.core.contract.fault import Fault
from gateway.core.contract.probing import Series
from gateway.store import probes
from gateway.store.client import Store

pytestmark = pytest.mark.anyio
SNAPSHOT = "openai/gpt-4o-2024-08-06"


async def test_nothing_is_lost_between_two_who_probe(store: Store) -> None:
    """Each change is made from what is stored then."""

    def one(known: Series) -> Series:
        return msgspec.structs.replace(known, calls=known.calls + 1)

    await asyncio.gather(*(probes.change(store, SNAPSHOT, "rel_1:x", one) for _ in range(5)))
    assert (await probes.get(store, SNAPSHOT, "rel_1:x")).calls == 5
    assert await probes.get(store, SNAPSHOT, "rel_2:x") == Series()
    assert await store.do("PTTL", store.keys.probe(SNAPSHOT)) > 0


async def test_what_cannot_be_read_is_empty(store: Store) -> None:
    """A newer version's series is begun anew, over what is there."""
    await store.do("HSET", store.keys.probe(SNAPSHOT), "rel_1:x", b"{")
    assert await probes.get(store, SNAPSHOT, "rel_1:x") == Series()
    assert (await probes.change(store, SNAPSHOT, "rel_1:x", lambda _: Series(calls=7))).calls == 7
    assert (await probes.change(store, SNAPSHOT, "rel_1:x", lambda known: known)).calls == 7


async def test_who_never_gets_through_is_told(store: Store) -> None:
    """After ten others in between."""
    count = 0

    def make(known: Series) -> Series:
        nonlocal count
        count += 1
        return msgspec.structs.replace(known, calls=count)

    async def meddled(*_: object) -> int:
        return 0

    store.script = meddled  # type: ignore[method-assign,assignment]
    with pytest.raises(Fault, match="probe_busy"):
        await probes.change(store, SNAPSHOT, "rel_1:x", make)
    assert count == 10
