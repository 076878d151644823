"""Row H4: clients that all retry, against providers that fail: the gateway adds next to nothing to what they send.

Real clients with their defaults, three attempts each; two endpoints, so that failover could multiply what retries do not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.faults.scripted import KEY, alias_of, name_of, settings
from tests.faults.watch import House
from tests.gateway_process import running
from tests.provider import Behaviour, Provider, Received, Reply, completion, drop, head, raw

CLIENTS = 12
BODY = b'{"error": {"message": "no", "type": "server_error", "param": null, "code": "overloaded"}}'


def failing(status: int, headers: dict[str, str] | None = None) -> Behaviour:
    """An error in the API's shape, after which the connection closes, so that none is left over."""
    fields = {"content-type": "application/json", "content-length": str(len(BODY)), "connection": "close"}
    return raw(head(status, {**fields, **(headers or {})}) + BODY, close=True)


WAYS: dict[str, Behaviour] = {
    "h4-503": failing(503, {"retry-after-ms": "20"}),
    "h4-429": failing(429),
    "h4-500": failing(500),
    "h4-lost": drop,
}


async def by_name(received: Received, reply: Reply) -> None:
    """Fail as the provider's name says."""
    await WAYS.get(name_of(received), completion())(received, reply)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Provider, Provider]]:
    """Two hosts that fail alike."""
    with Provider(by_name) as one, Provider(by_name) as two:
        yield one, two


@pytest.fixture(scope="module")
def house(hosts: tuple[Provider, Provider]) -> Iterator[House]:
    """A gateway with a provider per way to fail, each with both hosts as endpoints, and breakers out of the way."""
    providers: dict[str, Any] = {"openai": settings(hosts[0].url)}
    for name in WAYS:
        urls = [f"{host.url}/{name}" for host in hosts]
        providers[name] = settings(urls[0], endpoints=[{"url": url} for url in urls])
    aliases = {name: alias_of(name) for name in WAYS}
    retry = {"breaker_failures": 1_000_000}
    with (
        running(
            providers, aliases=aliases, retry=retry, unmanaged="pass", default_provider={"openai": "openai"}
        ) as gateway,
        House(gateway, hosts[0], secrets=(KEY,)) as made,
    ):
        yield made


async def storm(base: str) -> Counter[str]:
    """All clients of all providers call at once, until each gives up; how many attempts they made."""
    attempts: Counter[str] = Counter()

    async def one(name: str) -> None:
        async def count(_request: object) -> None:
            attempts[name] += 1

        async with openai.DefaultAsyncHttpxClient(event_hooks={"request": [count]}, trust_env=False) as http:
            client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="unused", http_client=http)
            with pytest.raises(openai.APIError):
                await client.chat.completions.create(model=name, messages=[{"role": "user", "content": "?"}])

    await asyncio.gather(*(one(name) for name in WAYS for _ in range(CLIENTS)))
    return attempts


def test_h4_all_clients_retry_against_a_failing_provider(house: House, hosts: tuple[Provider, Provider]) -> None:
    """What reaches a provider is at most 1.1 times what the clients sent, however it fails and whoever repeats."""
    with house.watch("h4") as watch:
        attempts = asyncio.run(storm(watch.gateway.base))
        hits = Counter(name_of(each) for host in hosts for each in host.requests)
        for name in WAYS:
            assert CLIENTS <= attempts[name] <= 3 * CLIENTS
            assert hits[name] <= 1.1 * attempts[name], f"{name}: {hits[name]} calls for {attempts[name]} attempts"
        assert attempts["h4-lost"] == CLIENTS, "what may have been worked on is not repeated by anybody"
        for name in ("h4-503", "h4-429"):
            assert hits[name] > attempts[name], "failover was tried"
            watch.expect("retry_budget_exhausted_total", 1, provider=name, at_least=True)
