"""What an exchange costs, by the model that was called and the tokens that its provider counted (`settings.prices`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.pinning.prices import Price
    from gateway.live.life import Life


def price_of(life: Life) -> Price | None:
    """The price of the model that was called; of a name without one, that of the model which answered for it."""
    stamp = life.stamp
    return life.view.prices.of(stamp.model, life.observed) if stamp is not None else None


def cost_of(life: Life) -> int | None:
    """What the exchange costs in millionths of a US dollar; None while its tokens or their price are unknown."""
    stamp = life.stamp
    return life.view.prices.cost(stamp.model, life.observed) if stamp is not None else None
