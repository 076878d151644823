"""What providers say of retirement: read from their own endpoints, and nothing believed that they did not plainly say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from gateway.core.contract.sentinel import Retirement
from gateway.sentinel import lifecycle
from gateway.settings.model import EndpointSettings, ProviderSettings, StoreSettings
from gateway.store import snapshots
from gateway.store.client import Store
from tests.provider import Behaviour, Provider, answer, drop, hang, head, raw
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio
TODAY = "2026-11-23"
NOW = 1_795_392_000_000
GPT = "openai/gpt-5-2025-08-07"


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A server for the whole module."""
    server = RealRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
async def store(redis: RealRedis, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """An empty store."""
    redis.ask("FLUSHALL")
    opened = Store(StoreSettings(redis=redis.url, data_dir=str(tmp_path_factory.mktemp("data"))))
    yield opened
    await opened.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """As the product makes one."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as opened:
        yield opened


@pytest.fixture
def provider() -> Iterator[Provider]:
    """The other end."""
    with Provider() as made:
        yield made


def settings(provider: Provider, vendor: str = "openai", **members: Any) -> ProviderSettings:
    """A provider of this vendor at the test's address, with a key of its own."""
    given = {"api_key": "sk-own", "vendor": vendor, "allow_private": True} | members
    return ProviderSettings(base_url=provider.url, **given)


async def said(
    session: aiohttp.ClientSession, provider: Provider, vendor: str, body: Any, model: str = "m-1"
) -> tuple[Any, str]:
    """What is made of an answer of this vendor's."""
    provider.then(answer(body))
    asked = lifecycle.question("p", settings(provider, vendor), model)
    assert asked is not None
    return await lifecycle.ask(session, asked, TODAY)


@pytest.mark.parametrize(
    ("vendor", "body", "expected"),
    [
        ("openai", {"id": "m-1", "shutdown_date": "2026-12-11"}, ("2026-12-11", "")),
        ("openai", {"id": "m-1", "shutdown_date": None}, ("", "")),
        ("openai", {"id": "m-1"}, None),
        (
            "anthropic",
            {"lifecycle": "deprecated", "deprecated_at": "2026-09-01T00:00:00Z", "retires_at": "2026-11-30T17:00:00Z"},
            ("2026-11-30", "2026-09-01"),
        ),
        ("anthropic", {"lifecycle": "active", "deprecated_at": None, "retires_at": None}, ("", "")),
        ("anthropic", {"lifecycle": "retired", "retires_at": None}, (TODAY, "")),
        ("anthropic", {"id": "m-1"}, None),
        (
            "google",
            {"modelStatus": {"modelStage": "DEPRECATED", "retirementTime": "2026-12-01T00:00:00Z"}},
            ("2026-12-01", ""),
        ),
        ("google", {"modelStatus": {"modelStage": "STABLE"}}, ("", "")),
        ("google", {"name": "models/m-1"}, None),
    ],
)
async def test_each_vendor_is_read_in_its_own_words(
    session: aiohttp.ClientSession, provider: Provider, vendor: str, body: Any, expected: Any
) -> None:
    """A date is what the vendor's own member says; null says that there is none, and no member says nothing."""
    found, result = await said(session, provider, vendor, body)
    assert (found, result) == (expected, "silent" if expected is None else "said")


@pytest.mark.parametrize(
    ("vendor", "path", "header", "value"),
    [
        ("openai", "/v1/models/m-1", "authorization", "Bearer sk-own"),
        ("anthropic", "/v1/models/m-1", "x-api-key", "sk-own"),
        ("google", "/v1beta/models/m-1", "x-goog-api-key", "sk-own"),
    ],
)
async def test_it_asks_as_the_vendor_wants(
    session: aiohttp.ClientSession, provider: Provider, vendor: str, path: str, header: str, value: str
) -> None:
    """One GET of the model itself, with the key where the vendor reads it."""
    await said(session, provider, vendor, {})
    request = provider.requests[-1]
    assert (request.method, request.target, request.fields[header]) == ("GET", path, value)


BAD: list[tuple[str, Behaviour]] = [
    ("status_429", answer({"error": {}}, 429)),
    ("status_500", answer({"error": {}}, 500)),
    ("status_404", answer({"error": {}}, 404)),
    ("status_302", answer({}, 302, {"location": "http://127.0.0.1:1/"})),
    ("unreadable", answer(b"<html>")),
    ("unreadable", answer({"shutdown_date": "soon"})),
    ("unreadable", answer({"shutdown_date": "2026-02-30"})),
    ("unreadable", answer({"shutdown_date": ["2026-12-11"]})),
    ("silent", answer([1])),  # type: ignore[arg-type] # an answer of another kind
    ("ValueError", raw(head(200, {"content-length": "3000000"}) + b"x" * 3_000_000)),
    ("ServerDisconnectedError", drop),
    ("timeout", hang),
]


@pytest.mark.parametrize(("word", "behaviour"), BAD, ids=[f"{n}-{word}" for n, (word, _) in enumerate(BAD)])
async def test_what_is_no_answer_changes_nothing(
    store: Store,
    session: aiohttp.ClientSession,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    behaviour: Behaviour,
) -> None:
    """Slow, away, busy, wrong or endless: what was known stays, nothing is raised, and the result is a word."""
    monkeypatch.setattr(lifecycle, "SECONDS", 0.3)
    before = Retirement(GPT, "2026-12-11", "", "", "provider", 5)
    await snapshots.say(store, before)
    provider.then(behaviour)
    results = await lifecycle.refresh(store, {"openai": settings(provider)}, [GPT], session, NOW, TODAY)
    assert results == {GPT: word}
    assert await snapshots.retirements(store, [GPT]) == {GPT: before}


async def test_each_is_asked_once_a_day(store: Store, session: aiohttp.ClientSession, provider: Provider) -> None:
    """An answer holds for a day, a failure for an hour, and a provider that fails is not asked on in the same round."""
    other = "openai/gpt-4o-2024-08-06"
    providers = {"openai": settings(provider)}

    async def asked(wanted: list[str], hours: float, behaviour: Behaviour) -> dict[str, str]:
        provider.default = behaviour
        return await lifecycle.refresh(store, providers, wanted, session, NOW + int(hours * 3_600_000), TODAY)

    dated = answer({"shutdown_date": "2026-12-11"})
    assert await asked([GPT, GPT], 0, dated) == {GPT: "said"}
    assert await asked([GPT], 23.9, dated) == {}
    assert await asked([GPT, other], 24, answer({}, 503)) == {other: "status_503"}
    assert await asked([GPT, other], 24.5, dated) == {GPT: "said"}
    assert await asked([other], 25, dated) == {other: "said"}
    assert (await snapshots.retirements(store, [GPT]))[GPT].read_ms == NOW + int(24.5 * 3_600_000)


async def test_only_the_gateways_own_key_goes_out(provider: Provider) -> None:
    """The background key before the provider's own; with neither, a caller's credential is never used and nobody is asked."""
    url = provider.url
    two = lifecycle.question("openai", settings(provider, background_api_key="sk-back"), "m")
    assert two is not None
    assert two.headers["authorization"] == "Bearer sk-back"
    assert "sk-back" not in repr(two)
    assert lifecycle.question("openai", settings(provider, api_key="client"), "m") is None
    far = EndpointSettings(url=url, vendor="azure", api_key="sk-azure", models={"m": "deployment"})
    near = EndpointSettings(url=url, vendor="openai", models={"m": "m-here"})
    both = lifecycle.question("openai", settings(provider, endpoints=(far, near)), "m")
    assert both is not None
    assert both.url.endswith("/v1/models/m-here")
    assert lifecycle.question("openai", settings(provider, endpoints=(far,)), "m") is None


async def test_a_machine_of_ones_own_is_not_asked(provider: Provider) -> None:
    """A loopback host of which the configuration says no vendor runs what its owner wants, for as long as he wants."""
    assert lifecycle.question("openai", settings(provider, vendor=""), "m") is None


@pytest.mark.parametrize(
    ("base", "vendor", "url"),
    [
        ("https://api.openai.com/v1", "openai", "https://api.openai.com/v1/models/ft:gpt-4o:acme::1"),
        ("https://proxy.example/openai-eu/", "openai", "https://proxy.example/openai-eu/v1/models/ft:gpt-4o:acme::1"),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "google",
            "https://generativelanguage.googleapis.com/v1beta/models/ft:gpt-4o:acme::1",
        ),
    ],
)
def test_a_base_with_its_version_is_the_same_place(base: str, vendor: str, url: str) -> None:
    """Whatever version the base URL was written with, the model is asked for where the vendor keeps it."""
    asked = lifecycle.question("p", ProviderSettings(base_url=base, api_key="k", vendor=vendor), "ft:gpt-4o:acme::1")
    assert asked is not None
    assert asked.url == url


def test_a_name_leads_to_no_other_path() -> None:
    """What is no part of a model's name is percent-encoded."""
    asked = lifecycle.question("p", ProviderSettings(base_url="https://api.openai.com", api_key="k"), "../files?x=1")
    assert asked is not None
    assert asked.url == "https://api.openai.com/v1/models/..%2Ffiles%3Fx%3D1"
