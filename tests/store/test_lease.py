"""The lease of the control loop, and the fence behind it, on a real server."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import HistoryEntry
from gateway.store import aliases, lease
from gateway.store.client import Store

pytestmark = pytest.mark.anyio


def entry(operation: str) -> HistoryEntry:
    """Who and why."""
    return HistoryEntry(1, "trivet", "rollout_advance", "because", 0, None, None, operation=operation)


async def lapse(store: Store) -> None:
    """Make the holder's last word as old as if it had been stopped for a minute."""
    await store.do("HINCRBY", store.keys.control(), "at_ms", -60_000)


async def test_one_holds_and_any_number_stand_by(store: Store) -> None:
    """Who holds the lease keeps it by saying so; others are told who it is, and the term stays."""
    assert await lease.heard_ms(store) == (-1, "")
    first = await lease.hold(store, "one")
    assert (first.mine, first.term, first.holder) == (True, 1, "one")
    for other in ("two", "three"):
        found = await lease.hold(store, other)
        assert (found.mine, found.term, found.holder) == (False, 1, "one")
    again = await lease.hold(store, "one")
    assert (again.mine, again.term) == (True, 1)
    assert again.now_ms >= first.now_ms
    age, holder = await lease.heard_ms(store)
    assert 0 <= age < 1000
    assert holder == "one"


async def test_a_silent_holder_is_replaced_and_learns_it(store: Store) -> None:
    """After the lease another takes over with a higher term, and the old one is told when it speaks again."""
    await lease.hold(store, "one")
    await lapse(store)
    taken = await lease.hold(store, "two")
    assert (taken.mine, taken.term) == (True, 2)
    late = await lease.hold(store, "one")
    assert (late.mine, late.holder) == (False, "two")


async def test_a_holder_that_nobody_replaced_goes_on(store: Store) -> None:
    """A pause that nobody used costs nothing: same holder, same term. A clock that went back does not hold the lease for ever."""
    await lease.hold(store, "one")
    await lapse(store)
    assert (await lease.hold(store, "one")).term == 1
    await store.do("HINCRBY", store.keys.control(), "at_ms", 3_600_000)
    assert (await lease.hold(store, "two")).mine


async def test_given_back_it_is_free_at_once_and_the_weights_stay(store: Store) -> None:
    """Leaving frees the lease without making the last sign of life older; who does not hold it cannot give it back."""
    held = await lease.hold(store, "one")
    await lease.leave(store, "two")
    assert not (await lease.hold(store, "two")).mine
    await lease.leave(store, "one")
    assert int(await store.do("HGET", store.keys.control(), "at_ms")) == held.now_ms
    assert (await lease.hold(store, "two")).term == 2


async def test_fence_refuses_the_paused_holder(store: Store) -> None:
    """A holder that slept through a takeover cannot write an alias that its successor fenced, at whatever version it read it."""
    state = AliasState("agent", 1, {"*": Lane("rel_1")})
    await aliases.create(store, state, entry("1"))
    old = await lease.hold(store, "one")
    assert await lease.fence(store, ["agent", "gone"], old.term) == old.term
    await lapse(store)
    new = await lease.hold(store, "two")
    assert await lease.fence(store, ["agent"], new.term) == new.term
    with pytest.raises(Fault, match="fenced"):
        await aliases.write(store, state, state, entry("2"), epoch=old.term)
    assert await lease.fence(store, ["agent"], old.term) == new.term, "the old one learns that it was replaced"
    kept = await aliases.get(store, "agent")
    assert kept == msgspec.structs.replace(state, epoch=new.term), "the fence itself changes no version"
    assert (await aliases.write(store, state, state, entry("3"), epoch=new.term)).version == 2
    assert (await aliases.write(store, msgspec.structs.replace(state, version=2), state, entry("4"))).epoch >= 0
    assert (await aliases.get(store, "agent")).epoch == new.term, "a person's order neither needs nor lowers the epoch"  # type: ignore[union-attr]


async def test_a_term_below_a_stored_epoch_is_lifted(store: Store) -> None:
    """When the lease was lost with the store and aliases came back from a copy, the holder's term rises above their epochs."""
    await lease.hold(store, "one")
    assert (await lease.hold(store, "one", above=7)).term == 8
    assert (await lease.hold(store, "one", above=7)).term == 8
