"""Counters are plain numbers that only ever name a small set of kinds."""

from __future__ import annotations

from gateway.store.counters import StoreCounters


def test_reasons_are_counted_apart() -> None:
    """Errors and drops are told apart by kind; the age of pointers is unknown until the store has spoken."""
    counters = StoreCounters()
    counters.stamps.error("timeout")
    counters.stamps.error("timeout")
    counters.dropped("full", 3)
    counters.log_error("full")
    counters.pointer_error("older")
    assert counters.stamps.errors == {"timeout": 2}
    assert counters.bulk_dropped == {"full": 3}
    assert (counters.log_errors, counters.pointer_errors) == ({"full": 1}, {"older": 1})
    assert counters.pointer_age == -1
