"""Counters of the wire."""

from __future__ import annotations

from gateway.wire.counters import WireCounters


def test_counts_by_label() -> None:
    """Each event adds one under its own label, and a new process starts at nothing."""
    counters = WireCounters()
    assert (counters.accepted, counters.requests, counters.handler_errors) == (0, 0, 0)
    for reason in ("path", "path", "host"):
        counters.reject(reason)
    counters.timeout("head")
    counters.disconnect("wait")
    assert counters.rejected == {"path": 2, "host": 1}
    assert counters.client_timeouts == {"head": 1}
    assert counters.disconnects == {"wait": 1}
