"""What models cost under one configuration: the operator's prices before the vendors' list prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.core.contract.exchange import Observed
from gateway.core.pinning.classify import vendor_of
from gateway.core.pinning.prices import NO_PRICES, Price, PriceTable, cost, named, price
from gateway.settings import tables
from gateway.settings.load import Config
from gateway.settings.model import PriceSettings, ProviderSettings
from gateway.settings.problems import shown

MODELS_KEPT = 1000
NO_LIST = PriceTable({})


class PriceBook:
    """The prices of one configuration, looked up once per model. Models are written `provider/model-id`.

    An unknown price is None, never 0.
    """

    __slots__ = ("_known", "_own", "_vendors", "table")

    def __init__(
        self, providers: Mapping[str, ProviderSettings], vendors: Mapping[str, str], table: PriceTable = NO_LIST
    ) -> None:
        self._own = {
            name: named((model, price(rates(each))) for model, each in provider.prices.items())
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

    def of(self, model: str, observed: Observed | None) -> Price | None:
        """The price of the model that was called; of a name without one, that of the model which answered for it."""
        found = self.find(model)
        if found is None and observed is not None and observed.model:
            found = self.find(f"{model.partition('/')[0]}/{observed.model}")
        return found

    def cost(self, model: str, observed: Observed | None) -> int | None:
        """What an exchange with a model costs in millionths of a US dollar; None while its tokens or their price are unknown."""
        if observed is None or observed.usage is None:
            return None
        found = self.of(model, observed)
        return cost(observed.usage, found) if found is not None else None

    def _look_up(self, model: str) -> Price | None:
        if len(self._known) >= MODELS_KEPT:
            self._known.clear()
        provider, _, name = model.partition("/")
        own = self._own.get(provider, NO_PRICES)
        found = own.find(name) or self.table.find(self._vendors.get(provider, ""), name)
        self._known[model] = found
        return found


def rates(settings: PriceSettings) -> dict[str, float]:
    """The prices that are written, by name, in US dollars per million tokens."""
    return {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}


def unpriced(config: Config) -> Iterator[tuple[str, str, str]]:
    """A warning for each alias that would be refused where money is limited, because nobody knows what its model costs."""
    settings = config.settings
    limits = [key.limits for key in settings.keys] + [tenant.limits for tenant in settings.tenants.values()]
    if not any(each.usd_per_day for each in limits):
        return
    vendors = {name: vendor_of(name, p.base_url, p.vendor) for name, p in settings.providers.items()}
    prices = PriceBook(settings.providers, vendors, tables.prices())
    for name, alias in settings.aliases.items():
        model = alias.first_release.model
        provider = model.partition("/")[0]
        if provider in settings.providers and prices.find(model) is None:
            message = (
                "has no known price, so whoever has a limit of usd_per_day is refused; "
                f"write what it costs under providers.{shown(provider)}.prices"
            )
            yield "warning", f"aliases.{shown(name)}.first_release.model", message
