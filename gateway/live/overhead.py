"""Times of a request as the journal and the histograms say them: how much of it was the gateway's own, and in which unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.live.life import Life


def overhead(life: Life, ended: float) -> float:
    """Seconds the request spent in the gateway before the provider was asked; all of it when the provider never was."""
    return (life.forwarded or ended) - life.incoming.started


def millis(seconds: float) -> float:
    """Seconds, not negative, as milliseconds with three decimals; `round` takes three times as long."""
    return int(seconds * 1e6 + 0.5) / 1e3
