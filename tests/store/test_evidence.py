"""Evidence in the store: found by what it holds, listed by when it ended."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.evidence import evidence_digest
from gateway.core.contract.fault import Fault
from gateway.store import evidence as stored
from gateway.store.client import Store
from tests.core.gate.evidences import ALIAS, NEW, OLD, evidence, flips, suite

pytestmark = pytest.mark.anyio


async def test_kept_once_under_its_digest(store: Store) -> None:
    """The same evidence again changes nothing and is found under the same digest."""
    made = evidence(suite(flips(3, 1)))
    digest, new = await stored.put(store, made)
    assert (digest, new) == (evidence_digest(made), True)
    assert await stored.put(store, made) == (digest, False)
    assert await stored.get(store, digest) == made
    assert len(await stored.index(store, ALIAS)) == 1


async def test_listed_newest_first(store: Store) -> None:
    """The index names releases and times; records come by digest, and those that are gone are left out."""
    digests = [(await stored.put(store, evidence(suite(flips(at)), ended_ms=at)))[0] for at in (1, 3, 2)]
    found = await stored.index(store, ALIAS)
    assert [(each.ended_ms, each.candidate, each.incumbent) for each in found] == [(at, NEW, OLD) for at in (3, 2, 1)]
    assert set(await stored.many(store, [*digests, "0" * 64])) == set(digests)
    assert await stored.index(store, "other") == []
    assert await stored.get(store, "0" * 64) is None


async def test_damage_is_not_evidence(store: Store) -> None:
    """A record that is not what its digest says is an error, not a verdict."""
    made = evidence(suite(flips(3)))
    digest, _ = await stored.put(store, made)
    other = msgspec.json.encode(msgspec.structs.replace(made, actor="mallory"))
    for data in (other, b"{", b'{"alias":1}'):
        await store.do("SET", store.keys.evidence(digest), data)
        with pytest.raises(Fault, match="evidence_unreadable"):
            await stored.get(store, digest)


async def test_too_large_is_refused(store: Store) -> None:
    """A record above the bound is not stored."""
    with pytest.raises(Fault, match="evidence_too_large"):
        await stored.put(store, evidence(suite(flips(3)), note="x" * stored.LARGEST))
