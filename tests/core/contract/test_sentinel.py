"""What the sentinel keeps reads back as it was stored."""

from __future__ import annotations

import msgspec

from gateway.core.contract.sentinel import Alarm, Epoch, Identity, Proof


def test_records_read_back() -> None:
    """An identity and an epoch are stored as JSON and read back equal; defaults take no room."""
    seen = Identity(
        "openai/gpt-4o-2024-08-06", "openai", "gpt-4o-2024-11-20", "fp_1", "rel_1", "agent", 5, mismatch=True
    )
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Identity) == seen
    epoch = Epoch(2, 7, Alarm.MODEL, "gpt-4o-2024-08-06", "gpt-4o-2024-11-20")
    assert msgspec.json.decode(msgspec.json.encode(epoch), type=Epoch) == epoch
    assert msgspec.json.encode(Epoch()) == b"{}"


def test_what_was_not_looked_at_is_not_proven() -> None:
    """A release is proven only by a call: there is no state between called and not called."""
    assert set(Proof) == {Proof.PROVEN, Proof.UNPROVEN, Proof.DEAD}
