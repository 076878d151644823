"""Prices of a configuration, before those of the list."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.pinning.prices import price
from gateway.settings import tables
from gateway.settings.load import read
from gateway.settings.model import ProviderSettings
from gateway.settings.prices import MODELS_KEPT, PriceBook, unpriced


def book() -> PriceBook:
    """Three providers, of which one is a server of the operator's own and one has a contract."""
    found = {
        "openai": {"base_url": "https://api.openai.com", "prices": {"gpt-4o-mini-*": {"input": 0.1, "output": 0.5}}},
        "own": {"base_url": "http://127.0.0.1:1", "allow_private": True, "prices": {"*": {"input": 0, "output": 0}}},
        "azure": {"base_url": "https://x.openai.azure.com"},
    }
    providers = msgspec.convert(found, dict[str, ProviderSettings])
    return PriceBook(providers, {"openai": "openai", "own": "self-hosted", "azure": "azure"}, tables.prices())


@pytest.mark.parametrize(
    ("model", "rates"),
    [
        ("openai/gpt-4o-2024-08-06", {"input": 2.5, "cached": 1.25, "output": 10}),
        ("openai/gpt-4o-mini-2024-07-18", {"input": 0.1, "output": 0.5}),
        ("own/anything/at:all", {"input": 0, "output": 0}),
        ("azure/gpt-4o-2024-08-06", None),
        ("nobody/gpt-4o", None),
    ],
)
def test_the_operators_price_goes_before_the_list(model: str, rates: dict[str, float] | None) -> None:
    """A contract price replaces the list's, 0 is a price, and what neither knows is unknown."""
    prices = book()
    for _ in range(2):
        assert prices.find(model) == (price(rates) if rates is not None else None)


def test_names_made_up_by_clients_do_not_grow_the_memory() -> None:
    """The book remembers a bounded number of models."""
    prices = book()
    for number in range(MODELS_KEPT + 10):
        prices.find(f"openai/x{number}")
    assert len(prices._known) <= MODELS_KEPT


@pytest.mark.parametrize(
    ("model", "prices", "limit", "warned"),
    [
        ("o3-2025-04-16", "", "5 USD/day", False),
        ("my-own", "", "5 USD/day", True),
        ("my-own", "prices: {my-*: {input: 0, output: 0}}", "5 USD/day", False),
        ("my-own", "", "0", False),
    ],
)
def test_an_alias_that_would_be_refused_is_told(model: str, prices: str, limit: str, warned: bool) -> None:
    """Where money is limited, an alias whose model has no price gets a warning that names the place to write one."""
    text = f"""tenants: {{default: {{limits: {{usd_per_day: {limit}}}}}}}
aliases: {{a: {{first_release: {{model: openai/{model}}}}}}}
providers: {{openai: {{base_url: "https://api.openai.com", {prices}}}}}
"""
    found = list(unpriced(read(text.encode(), Path("f.yaml"), {})))
    assert [(level, key) for level, key, _ in found] == [("warning", "aliases.a.first_release.model")] * warned
    assert all("providers.openai.prices" in message for _, _, message in found)


def test_what_an_exchange_costs() -> None:
    """By the model that was called, else by the one that answered; unknown tokens or prices cost nothing that is known."""
    usage = Usage(input=1_000_000, output=2_000_000)
    assert book().cost("own/anything", Observed(usage=usage)) == 0
    assert book().cost("openai/floats", Observed(model="gpt-4o-mini-x", usage=usage)) == 1_100_000
    assert book().cost("openai/floats", Observed(usage=usage)) is None
    assert book().cost("own/anything", Observed()) is None and book().cost("own/anything", None) is None
