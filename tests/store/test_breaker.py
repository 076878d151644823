"""The breaker opens after few refusals close together and closes by one answered probe."""

from __future__ import annotations

from gateway.store.breaker import CLOSED, HALF_OPEN, OPEN, Breaker


def test_opens_after_three_within_the_window() -> None:
    """Two refusals are forgiven, the third within a second opens it."""
    breaker = Breaker()
    breaker.passed()
    assert not breaker.failed(10.0)
    assert not breaker.failed(10.1)
    assert breaker.closed
    assert breaker.failed(10.2)
    assert breaker.state == OPEN
    assert not breaker.failed(10.3), "it opens once"


def test_old_refusals_are_forgotten() -> None:
    """Refusals far apart never open it."""
    breaker = Breaker()
    breaker.passed()
    assert not any(breaker.failed(at * 2.0) for at in range(20))
    assert breaker.closed


def test_starts_open_and_closes_by_a_probe() -> None:
    """Nothing is sent before the first probe was answered, and a failed probe opens it again."""
    breaker = Breaker()
    assert not breaker.closed
    breaker.probing()
    assert breaker.state == HALF_OPEN
    assert not breaker.closed
    breaker.failed(1.0)
    assert breaker.state == OPEN
    breaker.probing()
    breaker.passed()
    assert breaker.state == CLOSED
    breaker.trip()
    assert not breaker.closed
