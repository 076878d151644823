"""Labels never move."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault
from gateway.store import labels
from gateway.store.client import Store

pytestmark = pytest.mark.anyio

A, B = "a" * 64, "b" * 64


async def test_a_label_is_given_once(store: Store) -> None:
    """The same again changes nothing; another digest is refused, and the label stays."""
    await labels.give(store, "support@v7", A)
    await labels.give(store, "support@v7", A)
    with pytest.raises(Fault, match="label_taken"):
        await labels.give(store, "support@v7", B)
    await labels.give(store, "again@v1", A)
    known = await labels.every(store)
    assert known == {"support@v7": A, "again@v1": A}
    assert labels.of(known, A) == ("again@v1", "support@v7")
    assert labels.of(known, "") == ()


@pytest.mark.parametrize("label", ["support", "@v1", "support@", "a b@1", "a@1@2", "a,b@1", "x" * 65 + "@1"])
async def test_what_is_no_label(store: Store, label: str) -> None:
    """A label has a name and a version, and nothing that a header's list could be cut at."""
    with pytest.raises(Fault, match="bad_label"):
        await labels.give(store, label, A)
