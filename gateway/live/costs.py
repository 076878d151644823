"""What an exchange costs: the operator's price of a model, else the vendor's list price, looked up once per model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.pinning.prices import NO_PRICES, Price, Prices, PriceTable, cost, named, price

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.live.life import Life
    from gateway.settings.model import ProviderSettings

MODELS_KEPT = 1000
NO_LIST = PriceTable({})


class PriceBook:
    """The prices of one configuration. Models are written `provider/model-id`; an unknown price is None."""

    __slots__ = ("_known", "_own", "_vendors", "table")

    def __init__(
        self, providers: Mapping[str, ProviderSettings], vendors: Mapping[str, str], table: PriceTable = NO_LIST
    ) -> None:
        self._own = {
            name: named((model, price(_rates(each))) for model, each in provider.prices.items())
            for name, provider in providers.items()
            if provider.prices
        }
        self._vendors = vendors
        self.table = table
        """The list prices."""
        self._known: dict[str, Price | None] = {}

    def find(self, model: str) -> Price | None:
        """The price of a model."""
        try:
            return self._known[model]
        except KeyError:
            return self._look_up(model)

    def _look_up(self, model: str) -> Price | None:
        if len(self._known) >= MODELS_KEPT:
            self._known.clear()
        provider, _, name = model.partition("/")
        own: Prices = self._own.get(provider, NO_PRICES)
        found = own.find(name) or self.table.find(self._vendors.get(provider, ""), name)
        self._known[model] = found
        return found


def _rates(settings: msgspec.Struct) -> dict[str, float]:
    return {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}


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
