"""How much of a request's time was the gateway's own: one definition for the journal and the histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.live.life import Life


def overhead(life: Life, ended: float) -> float:
    """Seconds the request spent in the gateway before the provider was asked; all of it when the provider never was."""
    return (life.forwarded or ended) - life.incoming.started
