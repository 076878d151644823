"""Runs read back."""

from __future__ import annotations

import pytest

from gateway.core.contract.run import Stamp, run_digest
from gateway.store import runs
from gateway.store.client import Store
from gateway.store.records import encode_stamp
from gateway.store.scripts import BIND, sha

pytestmark = pytest.mark.anyio


async def bind(store: Store, run: str, alias: str, release: str, at_ms: int) -> None:
    """Bind as a live worker does."""
    key = run_digest("t", run)
    stamp = Stamp("t", run, alias, release, "openai/m", at_ms=at_ms)
    keys = [store.keys.run_of(key), store.keys.journal_of(key)]
    await store.script(BIND, sha(BIND), keys, [alias, encode_stamp(stamp), 5000, 5000, "new", ""])
    await store.do("ZADD", store.keys.release_runs(release), at_ms, key)


async def test_three_aliases_in_one_run(store: Store) -> None:
    """A run's stamps come by time of binding, its plans from the journal; its ttl is told."""
    for number, alias in enumerate(("a", "b", "c")):
        await bind(store, "r", alias, f"rel_{number}", 10 + number)
    found = await runs.get(store, run_digest("t", "r"))
    assert found is not None
    assert [stamp.alias for stamp in found.stamps] == ["a", "b", "c"]
    assert 0 < found.ttl_s <= 5
    journal = await runs.journal(store, found.key)
    assert [plan.stamp.alias for plan in journal.plans] == ["a", "b", "c"]
    assert [stamp.alias for stamp in await runs.of_release(store, "rel_1")] == ["b"]
    assert await runs.get(store, "0" * 32) is None


async def test_more_than_a_page(store: Store) -> None:
    """Long lists are read in pages, newest first, up to the limit."""
    for number in range(runs.SCAN + 20):
        await bind(store, f"r{number}", "a", "rel", number)
    assert await runs.counted(store, "rel") == runs.SCAN + 20
    every = await runs.of_release(store, "rel", limit=10_000)
    assert [stamp.at_ms for stamp in every] == list(range(runs.SCAN + 19, -1, -1))
    assert len(await runs.of_release(store, "rel", limit=7)) == 7
    assert len(await runs.of_release(store, "rel", since_ms=510)) == 10
