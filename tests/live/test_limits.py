"""Limits on the way of a request, through a whole gateway: what is refused, in which shape, and what is charged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from gateway.core.dialect.registry import DIALECTS
from gateway.live.view import View
from gateway.live.window import Window
from gateway.settings import tables
from gateway.settings.model import KeySettings, LimitSettings
from tests.live.gateway import STAMP_KEY, LiveGateway, release
from tests.provider import Provider, answer, chat_body, events, stream

MODEL = "openai/gpt-4o-2024-08-06"
NAMES = ("requests", "tokens", "runs", "money", "both", "one", "two", "picky", "poor")
LIMITS: dict[str, dict[str, float]] = {
    "requests": {"requests_per_minute": 2},
    "tokens": {"tokens_per_minute": 16},
    "runs": {"concurrent_runs": 1},
    "money": {"usd_per_day": 0.00002},
    "both": {"requests_per_minute": 5},
    "poor": {"usd_per_day": 1},
}


def secret(name: str) -> str:
    """The key of this name."""
    return f"sk-trivet-{name}"


def entry(name: str) -> dict[str, Any]:
    """A key as the configuration has it; its tenant has its name, but `one` and `two` share one."""
    made: dict[str, Any] = {"sha256": sha256(secret(name).encode()).hexdigest(), "tenant": name}
    made["limits"] = LIMITS.get(name, {})
    if name in ("one", "two"):
        made["tenant"] = "shared"
    if name == "picky":
        made["allow"] = ["gpt-*"]
    return made


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider that answers chat completions: 5 tokens in, 3 out."""
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(module_redis, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway with one key per limit. A chat costs 5 * 1 + 3 * 2 millionths."""
    module_redis.ask("FLUSHALL")
    providers = {
        "openai": {
            "base_url": provider.url,
            "api_key": "sk-provider",
            "allow_private": True,
            "prices": {"gpt-4o-*": {"input": 1, "output": 2}},
        }
    }
    tenants = {"shared": {"limits": {"requests_per_minute": 3}}, "both": {"limits": {"requests_per_minute": 2}}}
    keys = [entry(name) for name in NAMES]
    folder = tmp_path_factory.mktemp("limits")
    with LiveGateway(module_redis.url, folder, providers, auth="keys", keys=keys, tenants=tenants) as running:
        running.alias("gpt-4o", release(MODEL))
        running.alias("secret", release("openai/o3-2025-04-16"))
        yield running


def chat(gateway: LiveGateway, name: str, model: str = "gpt-4o", run: str = "", **more: Any) -> Any:
    """One chat with the key of this name."""
    return gateway.chat(model, {"x-api-key": secret(name), **({"x-trivet-run": run} if run else {})}, **more)


def account(gateway: LiveGateway, name: str) -> Any:
    """The account of a key."""
    return gateway.worker.view.callers[sha256(secret(name).encode()).digest()].accounts[0]


def test_requests_a_minute(gateway: LiveGateway, provider: Provider) -> None:
    """The third of two is refused before any provider is called, with the wait, and in OpenAI's form with OpenAI's headers."""
    assert [chat(gateway, "requests", run="r").status for _ in range(2)] == [200, 200]
    called = len(provider.requests)
    got = chat(gateway, "requests", run="r")
    assert (got.status, got.json["error"]["code"]) == (429, "rate_limited")
    assert 1 <= int(got.headers["retry-after"]) <= 60
    assert got.headers["x-should-retry"] == "true"
    assert (got.headers["x-ratelimit-limit-requests"], got.headers["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert got.headers["x-ratelimit-reset-requests"].endswith("s")
    assert len(provider.requests) == called
    assert gateway.counted["limited_total{requests,key}"] == 1
    assert gateway.flow(gateway.store.run_record("requests", "r")).stamps, "the run keeps its stamp"


def test_tokens_a_minute(gateway: LiveGateway) -> None:
    """Tokens are charged when the provider has counted them: 8 each, so the third request of 16 tokens is refused."""
    for used in (8, 16):
        assert chat(gateway, "tokens", messages=[]).status == 200
        gateway.wait(lambda: account(gateway, "tokens").tokens.total == used)  # noqa: B023 - called at once
    got = chat(gateway, "tokens", messages=[])
    assert (got.status, got.headers["x-ratelimit-limit-tokens"]) == (429, "16")


def test_runs_at_a_time(gateway: LiveGateway) -> None:
    """A second run is refused while the first one goes on, as does a request that names none."""
    assert chat(gateway, "runs", run="first").status == 200
    refused = chat(gateway, "runs", run="second")
    assert (refused.status, refused.headers["x-should-retry"]) == (429, "false")
    assert int(refused.headers["retry-after"]) > 60
    assert chat(gateway, "runs").status == 429
    assert chat(gateway, "runs", run="first").status == 200
    gateway.wait(lambda: (account(gateway, "runs").loose, account(gateway, "runs").in_flight) == (0, 0))


def test_money_a_day(gateway: LiveGateway) -> None:
    """11 millionths each: the third request of 20 is refused until midnight, and told not to retry by itself."""
    for spent in (11, 22):
        assert chat(gateway, "money").status == 200
        gateway.wait(lambda: account(gateway, "money").spent == spent)  # noqa: B023 - called at once
    got = chat(gateway, "money")
    assert (got.status, got.json["error"]["code"]) == (429, "spend_limit_reached")
    left = 86_400 - time.time() % 86_400
    assert abs(int(got.headers["retry-after"]) - left) < 5
    assert got.headers["x-should-retry"] == ("false" if left > 60 else "true")


def test_keys_of_one_tenant_share_its_limits(gateway: LiveGateway) -> None:
    """Two keys of a tenant with three requests a minute have three together; a key's own limit and the tenant's both hold."""
    assert [chat(gateway, name).status for name in ("one", "two", "one", "two", "one")] == [200, 200, 200, 429, 429]
    assert [chat(gateway, "both").status for _ in range(3)] == [200, 200, 429]
    assert gateway.counted["limited_total{requests,tenant}"] == 3
    assert account(gateway, "both").requests.total == 2, "what the tenant refused is not charged to the key"


def test_a_name_that_is_not_allowed_does_not_exist(gateway: LiveGateway, provider: Provider) -> None:
    """An alias outside `allow` gets what a name gets that nobody has: same status, same body, and no place in the list."""
    provider.then(answer({"object": "list", "data": [{"id": "other"}]}))
    assert chat(gateway, "picky").status == 200
    for header in ({}, {"x-trivet-alias": "NAME"}):
        seen = set()
        for name in ("secret", "nobody-has-this", "rel_0123456789abcdef"):
            fields = {"x-api-key": secret("picky"), **dict.fromkeys(header, name)}
            got = gateway.chat("gpt-4o" if header else name, fields)
            seen.add((got.status, got.body))
        assert len(seen) == 1
        assert seen.pop()[0] == 404
    runs = gateway.request("POST", "/trivet/runs", {"aliases": ["secret"]}, {"x-api-key": secret("picky")})
    unknown = gateway.request("POST", "/trivet/runs", {"aliases": ["nobody"]}, {"x-api-key": secret("picky")})
    assert (runs.status, runs.body) == (404, unknown.body)
    listed = gateway.request("GET", "/v1/models", headers={"x-api-key": secret("picky")}).json["data"]
    assert [each["id"] for each in listed] == ["gpt-4o"]
    for name in ("secret", "nobody"):
        assert gateway.request("GET", f"/v1/models/{name}", headers={"x-api-key": secret("picky")}).status == 404
    provider.queued.clear()


def test_an_unknown_price_is_not_free(gateway: LiveGateway, provider: Provider) -> None:
    """Where money is limited, a model whose price nobody knows is refused; elsewhere it is served, and counted."""
    called = len(provider.requests)
    got = chat(gateway, "poor", "secret")
    assert (got.status, got.json["error"]["code"]) == (403, "price_unknown")
    assert len(provider.requests) == called
    assert chat(gateway, "runs", "secret", run="first").status == 200
    gateway.wait(lambda: any(name.startswith("unpriced_total{") for name in gateway.counted))


def test_a_stream_without_usage_is_not_free(gateway: LiveGateway, provider: Provider) -> None:
    """A stream that does not count itself is charged by its size, and so is one that its client leaves."""
    pieces = events(["word "] * 40, MODEL)
    provider.then(stream([*pieces[:-2], pieces[-1]]))
    before = account(gateway, "poor").spent
    assert chat(gateway, "poor", stream=True).status == 200
    gateway.wait(lambda: account(gateway, "poor").in_flight == 0)
    assert account(gateway, "poor").spent - before > 40
    assert account(gateway, "poor").reserved == 0


def test_a_failed_answer_costs_nothing(gateway: LiveGateway, provider: Provider) -> None:
    """What the provider refused, and what never reached it, frees what was held and charges nothing."""
    before = (account(gateway, "poor").spent, account(gateway, "poor").tokens.total)
    provider.then(answer({"error": {"message": "no", "type": "x", "param": None, "code": "no"}}, 400))
    assert chat(gateway, "poor").status == 400
    assert gateway.request("POST", "/v1/chat/completions", b"{", {"x-api-key": secret("poor")}).status == 400
    assert (account(gateway, "poor").spent, account(gateway, "poor").tokens.total) == before
    gateway.wait(lambda: (account(gateway, "poor").in_flight, account(gateway, "poor").reserved) == (0, 0))


def test_requests_in_flight_hold_their_estimate(gateway: LiveGateway, provider: Provider) -> None:
    """While a big request is being served, its estimate keeps the next one out; afterwards only its tokens count."""
    go = threading.Event()

    async def slow(received: Any, reply: Any) -> None:
        await asyncio.to_thread(go.wait, 5)
        await answer(chat_body("ok", "m"))(received, reply)

    key = account(gateway, "tokens")
    gateway.call(_forget(key))
    provider.then(slow)
    thread = threading.Thread(target=chat, args=(gateway, "tokens"))
    thread.start()
    gateway.wait(lambda: key.reserved > 16)
    assert chat(gateway, "tokens").status == 429
    go.set()
    thread.join(5)
    gateway.wait(lambda: (key.reserved, key.tokens.total) == (0, 8))


async def _forget(key: Any) -> None:
    """Let the account's minute pass."""
    key.tokens = Window()


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_each_dialect_says_it_in_its_own_shape(gateway: LiveGateway, name: str) -> None:
    """A refusal is the error that the SDK of each dialect takes for a rate limit, with the wait and the switch for retries."""
    paths = {
        "openai": "/v1/chat/completions",
        "responses": "/v1/responses",
        "anthropic": "/v1/messages",
        "gemini": "/v1beta/models/gpt-4o:generateContent",
    }
    key = account(gateway, "requests")
    gateway.wait(lambda: key.requests.total >= 2 or chat(gateway, "requests"))
    got = gateway.request("POST", paths[name], {"model": "gpt-4o"}, {"x-api-key": secret("requests")})
    error = got.json["error"]
    assert got.status == 429
    assert got.headers["retry-after"]
    assert got.headers["x-should-retry"] == "true"
    says = {"anthropic": ("type", "rate_limit_error"), "gemini": ("status", "RESOURCE_EXHAUSTED")}
    member, word = says.get(name, ("code", "rate_limited"))
    assert error[member] == word
    assert (got.json.get("type") == "error") == (name == "anthropic")


def test_no_sdk_repeats_a_request_for_hours(gateway: LiveGateway) -> None:
    """Where the wait is longer than a minute, the official clients raise their rate-limit error at the first refusal."""
    account(gateway, "money").spent = 10**9
    base, key = f"http://127.0.0.1:{gateway.port}", secret("money")
    ask: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    before = gateway.counted["limited_total{spend,key}"]
    with (
        openai.OpenAI(base_url=f"{base}/v1", api_key=key) as client,
        pytest.raises(openai.RateLimitError) as first,
    ):
        client.chat.completions.create(**ask)
    assert first.value.code == "spend_limit_reached"
    with (
        anthropic.Anthropic(base_url=base, api_key=key) as other,
        pytest.raises(anthropic.RateLimitError),
    ):
        other.messages.create(**ask, max_tokens=5)
    late = 86_400 - time.time() % 86_400 <= 61
    assert late or gateway.counted["limited_total{spend,key}"] == before + 2


def test_a_reload_keeps_what_was_used(gateway: LiveGateway) -> None:
    """New limits hold from the next request on, and what was used under the old ones counts."""
    view = gateway.worker.view
    assert chat(gateway, "requests").status == 429
    keys = [entry(name) for name in NAMES]
    keys[0]["limits"] = {"requests_per_minute": 4}
    settings = msgspec.structs.replace(view.settings, keys=msgspec.convert(keys, tuple[KeySettings, ...]))
    assert settings.keys[0].limits == LimitSettings(requests_per_minute=4)
    gateway.worker.view = View(settings, tables.pinning(), (STAMP_KEY,), "two", ledger=view.ledger)
    try:
        statuses = [chat(gateway, "requests").status for _ in range(3)]
        assert statuses == [200, 200, 429]
    finally:
        gateway.worker.view = View(view.settings, tables.pinning(), (STAMP_KEY,), "three", ledger=view.ledger)
