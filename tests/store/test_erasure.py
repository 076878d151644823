"""Which keys and entries are a tenant's, on a real server. What goes and stays as a whole is in tests/control/test_erase.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.contract.fault import Fault
from gateway.settings.model import StoreSettings
from gateway.store import erasure
from gateway.store.acl import acl_line
from gateway.store.client import Store
from gateway.store.erasure import Whose
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


async def test_names_that_only_look_alike_stay(store: Store) -> None:
    """A tenant whose name begins like another's, or holds what a pattern would read, loses nothing to it."""
    keys = store.keys
    names = [keys.pair(tenant, "p") for tenant in ("a", "ab", "a/b", "*", "[a]")]
    names += [keys.limits(f"tenant/{tenant}") for tenant in ("a", "ab")] + ["trivet:other"]
    for name in names:
        await store.do("SET", name, "x")
    assert await erasure.drop(store, names, Whose("a")) == {"pair": 1, "limits": 1}
    assert await erasure.drop(store, names, Whose("*")) == {"pair": 1}
    cursor, found = "0", list[str]()
    while not found or cursor != "0":
        cursor, page = await erasure.scan(store, cursor)
        found += page
    assert sorted(set(found) & set(names)) == sorted(set(names) - {names[0], names[3], names[5]})


async def test_entries_nobody_can_read_stay(store: Store) -> None:
    """What is no JSON, or of another shape, is nobody's."""
    for key in (store.keys.steps("x"), store.keys.exposures("x")):
        for entry in ("{", "[]", '{"type":"plan"}', '{"stamp":5}', '{"type":"plan","stamp":[]}'):
            await store.do("XADD", key, "*", "entry", entry)
    assert await erasure.drop_entries(store, "x", Whose("a")) == {}
    await store.do("XADD", store.keys.shadow_dead(), "*", "why", "x")
    assert await erasure.drop_jobs(store, Whose("a")) == {}


async def test_the_least_user_is_told_what_to_give(tmp_path: Path) -> None:
    """Where SCAN is not allowed the refusal holds the command that allows it."""
    with RealRedis(tmp_path / "redis") as server:
        assert b"OK" in server.ask(acl_line("trivet", "trivet", "pw"))
        url = f"redis://trivet:pw@127.0.0.1:{server.port}/0"
        async with Store(StoreSettings(redis=url)) as store:
            with pytest.raises(Fault) as caught:
                await erasure.scan(store, "0")
    assert caught.value.code == "erase_rights" and "+scan" in caught.value.message
