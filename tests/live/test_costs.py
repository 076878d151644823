"""What exchanges cost: in the journal and in the metrics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.core.contract.journal import Step
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer, chat_body

MODEL = "openai/gpt-4o-2024-08-06"


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
