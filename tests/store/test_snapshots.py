"""What is kept of a snapshot."""

from __future__ import annotations

import pytest

from gateway.core.contract.sentinel import Retirement
from gateway.store import snapshots
from gateway.store.client import Store

pytestmark = pytest.mark.anyio
ONE, TWO = "openai/gpt-4o-2024-08-06", "my provider/models/{x}"


async def test_what_a_provider_said_is_kept(store: Store) -> None:
    """The newest word of a provider is found under its snapshot, whatever the name holds; where none was said there is none."""
    for retires in ("2027-01-14", "2027-02-01"):
        await snapshots.say(store, Retirement(TWO, retires, "", "", "provider", 5))
    found = await snapshots.retirements(store, [ONE, TWO])
    assert found == {TWO: Retirement(TWO, "2027-02-01", "", "", "provider", 5)}
    assert await snapshots.retirements(store, []) == {}


async def test_what_cannot_be_read_is_not_said(store: Store) -> None:
    """A record of another version, or a damaged one, is as good as none."""
    await store.do("HSET", store.keys.snapshot(ONE), snapshots.RETIREMENT, b'{"snapshot": 3}')
    await store.do("HSET", store.keys.snapshot(ONE), snapshots.LOOKED, b"soon")
    assert await snapshots.retirements(store, [ONE]) == {}
    assert await snapshots.looked(store, [ONE]) == {ONE: (0, "")}


async def test_a_look_is_remembered(store: Store) -> None:
    """When a provider was asked, and what came of it; never asked is zero."""
    await snapshots.look(store, ONE, 1700, "timeout")
    assert await snapshots.looked(store, [ONE, TWO]) == {ONE: (1700, "timeout"), TWO: (0, "")}


async def test_a_warning_is_remembered_per_alias(store: Store) -> None:
    """An alias's warning says of which date and at how many days; another alias has none."""
    await snapshots.warn(store, ONE, "agent", "2027-01-14", 30)
    assert await snapshots.warned(store, ONE, "agent") == ("2027-01-14", 30)
    assert await snapshots.warned(store, ONE, "other") == ("", 0)
