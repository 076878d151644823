"""Proofs and what probes took, on a real server: counted once, bounded over every process, unreadable is unknown."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.core.contract.sentinel import Callable, Proof
from gateway.core.pinning.warm import unseen
from gateway.store import proofs
from gateway.store.client import Store
from gateway.store.proofs import Limits, Taken

pytestmark = pytest.mark.anyio
NOW = 1_795_392_000_000


async def test_proofs_are_kept_by_release(store: Store) -> None:
    """What nobody names any more goes, and what cannot be read is unknown."""
    one = Callable("rel_1", Proof.PROVEN, 5, "live")
    await proofs.put(store, [one, unseen("rel_2")])
    await proofs.put(store, [])
    await store.do("HSET", store.keys.proofs(), "rel_3", b'{"release":')
    assert await proofs.get(store, ["rel_1", "rel_3", "rel_4", "rel_1"]) == {"rel_1": one}
    assert await proofs.get(store, []) == {}
    await proofs.keep_only(store, ["rel_2"])
    assert list(await proofs.get(store, ["rel_1", "rel_2", "rel_3"])) == ["rel_2"]


async def test_calls_of_a_day_are_bounded_over_all_who_ask(store: Store) -> None:
    """However many take at once, no more are given than the day has; the next day begins anew."""
    limits = Limits(calls=10, micro=0)
    words = await asyncio.gather(*(proofs.take(store, limits, 3, NOW) for _ in range(8)))
    assert sorted(words) == ["", "", "", *["calls"] * 5]
    assert (await proofs.taken(store, NOW)).calls == 9
    assert await proofs.take(store, limits, 3, NOW + 86_400_000) == ""


async def test_money_of_a_day_is_bounded(store: Store) -> None:
    """Once it is spent nobody asks; a call without a price counts as such, and 0 is no limit."""
    await proofs.take(store, Limits(100, 50), 1, NOW)
    for micro in (30, None, 0, 20):
        await proofs.spent(store, micro, NOW)
    assert await proofs.taken(store, NOW) == Taken(1, 50, 1)
    assert await proofs.take(store, Limits(100, 50), 1, NOW) == "budget"
    assert await proofs.take(store, Limits(100, 0), 1, NOW) == ""


def test_a_proof_reads_back() -> None:
    """Written by msgspec, read by msgspec."""
    one = unseen("rel_1")
    assert msgspec.json.decode(msgspec.json.encode(one), type=Callable) == one
