"""What an exchange costs, by the model that was called and the tokens that its provider counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.pinning.prices import cost

if TYPE_CHECKING:
    from gateway.core.pinning.prices import Price
    from gateway.live.life import Life


def price_of(life: Life) -> Price | None:
    """The price of the model that was called; of a name without one, that of the model which answered for it."""
    stamp, observed = life.stamp, life.observed
    if stamp is None:
        return None
    found = life.view.prices.find(stamp.model)
    if found is None and observed is not None and observed.model:
        found = life.view.prices.find(f"{stamp.model.partition('/')[0]}/{observed.model}")
    return found


def cost_of(life: Life) -> int | None:
    """What the exchange costs in millionths of a US dollar; None while its tokens or their price are unknown."""
    observed = life.observed
    if observed is None or observed.usage is None:
        return None
    found = price_of(life)
    return cost(observed.usage, found) if found is not None else None
