"""What exchanges cost: in the journal, in the metrics, and by whose price."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from gateway.core.contract.journal import Step
from gateway.core.pinning.prices import price
from gateway.live.costs import MODELS_KEPT, PriceBook
from gateway.settings import tables
from gateway.settings.model import ProviderSettings
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer, chat_body

MODEL = "openai/gpt-4o-2024-08-06"


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


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider for the module."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(module_redis, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway that knows the price of one model."""
    module_redis.ask("FLUSHALL")
    prices = {"gpt-4o-2024-08-06": {"input": 1, "output": 2, "cached": 0.5}, "seen-*": {"input": 3, "output": 3}}
    providers = {"openai": {"base_url": provider.url, "api_key": "k", "allow_private": True, "prices": prices}}
    with LiveGateway(module_redis.url, tmp_path_factory.mktemp("costs"), providers, unmanaged="pass") as running:
        running.registry.know("alias", ["gpt-4o", "dear"])
        running.alias("gpt-4o", release(MODEL))
        running.alias("dear", release("openai/o3-2025-04-16"))
        yield running


def step(gateway: LiveGateway, run: str) -> Step:
    """The one step of a run, once it is in the journal."""
    found: list[Step] = []

    def there() -> bool:
        record = gateway.flow(gateway.store.run_record("default", run))
        found[:] = [each for each in record.entries if isinstance(each, Step)]
        return bool(found)

    gateway.wait(there)
    return found[0]


def test_cost_is_in_the_journal_and_the_metrics(gateway: LiveGateway, provider: Provider) -> None:
    """Each exchange has its cost by release and role, cached tokens apart; reasoning is counted and paid as output."""
    details = {"prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 7}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, **details}
    provider.then(answer(chat_body("Hi", "gpt-4o-2024-08-06", usage=usage)))
    assert gateway.chat("gpt-4o", {"x-trivet-run": "priced"}).status == 200
    found = step(gateway, "priced")
    assert found.cost_micro == 60 + 20 + 20
    counted, labels = gateway.counted, f"gpt-4o,{found.release},live"
    assert counted[f"cost_usd_total{{{labels}}}"] == pytest.approx(0.0001)
    assert counted[f"tokens_total{{{labels},reasoning}}"] == 7
    assert counted[f"tokens_total{{{labels},cached}}"] == 40


def test_an_unknown_price_is_counted_and_not_written(gateway: LiveGateway) -> None:
    """The journal has the tokens and no cost, and the metric says how many exchanges that concerns."""
    assert gateway.chat("dear", {"x-trivet-run": "unpriced"}).status == 200
    found = step(gateway, "unpriced")
    assert (found.usage is not None, found.cost_micro) == (True, None)
    assert gateway.counted[f"unpriced_total{{dear,{found.release},live}}"] == 1


def test_a_floating_name_costs_what_its_model_does(gateway: LiveGateway, provider: Provider) -> None:
    """A name without a price of its own is priced by the model that answered."""
    provider.then(answer(chat_body("Hi", "seen-2026-01-01")))
    assert gateway.chat("gpt-5-chat-latest", {"x-trivet-run": "floats"}).status == 200
    assert step(gateway, "floats").cost_micro == 24


def test_no_usage_no_cost(gateway: LiveGateway, provider: Provider) -> None:
    """An answer that counts no tokens has no cost in the journal: nothing there is an estimate."""
    provider.then(answer(chat_body("Hi", "m", usage=None)))
    assert gateway.chat("gpt-4o", {"x-trivet-run": "uncounted"}).status == 200
    found = step(gateway, "uncounted")
    assert (found.usage, found.cost_micro) == (None, None)
