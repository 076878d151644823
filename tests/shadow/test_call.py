"""A candidate's call on real sockets: what is sent, with whose key, and what comes of every kind of answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from gateway.core.contract.job import Job
from gateway.core.contract.pair import Side
from gateway.core.contract.release import Mode, Params, Release, Triple
from gateway.core.dialect.legs import Legs, parsed
from gateway.settings.model import Settings
from gateway.settings.prices import NO_LIST
from gateway.shadow.call import Calls
from gateway.shadow.compare import assembled
from gateway.shadow.ports import Called, Skip
from gateway.telemetry.counters import Registry
from gateway.upstream.call import Upstreams
from gateway.wire.deadlines import Sweeper
from tests.live.legs import made, toolset
from tests.provider import Behaviour, Provider, answer, chat_body, drop, events, hang, raw, stream
from tests.shadow.jobs import BODY, job

SNAPSHOT = "gpt-4o-2024-08-06"
CHAT = Release("rel_2", Triple(f"openai/{SNAPSHOT}"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Provider]:
    """One provider for the module."""
    with Provider() as running:
        yield running


@pytest.fixture
def provider(upstream: Provider) -> Provider:
    """The provider with nothing asked yet."""
    upstream.requests.clear()
    upstream.queued.clear()
    return upstream


def settings(provider: Provider, shadow: dict[str, Any] | None = None, **members: Any) -> Settings:
    """OpenAI, Anthropic and Google at one test provider."""
    one = {"base_url": provider.url, "api_key": "sk-own", "allow_private": True, **members}
    prices = {"prices": {"*": {"input": 1, "output": 2}}}
    found = {
        "openai": {**one, **prices},
        "anthropic": {**one, "vendor": "anthropic"},
        "gemini": {**one, "vendor": "google"},
    }
    return msgspec.convert({"providers": found, "shadow": shadow or {}}, Settings)


def call(
    given: Settings,
    wanted: Job | None = None,
    body: bytes = BODY,
    *,
    release: Release = CHAT,
    artifacts: dict[str, bytes] | None = None,
    edits: dict[str, bytes] | None = None,
) -> tuple[Called, list[Side]]:
    """One call, and what was told of it."""
    told: list[Side] = []

    async def legs(asked: Release) -> Legs | None:
        return parsed(asked, artifacts.get) if artifacts else None

    async def go(calls: Calls) -> Called:
        return await calls.call(wanted or job(), body, release, edits or {})

    return within(given, legs, go, told), told


def within(
    given: Settings,
    legs: Callable[[Release], Awaitable[Legs | None]],
    go: Callable[[Calls], Awaitable[Called]],
    told: list[Side],
) -> Called:
    """Run something with a caller in a loop of its own."""

    async def main() -> Called:
        sweeper = Sweeper(0.02)
        upstreams = Upstreams(given, sweeper, Registry(), background=True)
        calls = Calls(upstreams, legs, given, wall=lambda: 0.0, told=lambda _job, _release, side: told.append(side))
        try:
            return await go(calls)
        finally:
            upstreams.close()
            sweeper.close()
            await anyio.sleep(0)

    return anyio.run(main)


def test_a_call_brings_a_side_and_its_bytes(provider: Provider) -> None:
    """Status, times, tokens, cost and the answer's bytes; the body is the client's with the candidate's model, and our key."""
    got, told = call(settings(provider))
    side, sent = got.call.side, provider.requests[0]
    assert (side.release, side.model, side.status, side.failed) == ("rel_2", CHAT.triple.model, 200, "")
    assert 0 < side.first_byte_ms <= side.total_ms and side.cost == 5 + 2 * 3 and told == [side]
    assert side.observed is not None and side.observed.terminal and side.observed.finish == "stop"
    assert json.loads(got.call.body)["choices"][0]["message"]["content"] == "Hello."
    assert (sent.method, sent.target) == ("POST", "/v1/chat/completions")
    assert sent.json == {**json.loads(BODY), "model": SNAPSHOT}
    assert sent.fields["authorization"] == "Bearer sk-own"
    assert (got.limited, got.wait_seconds) == (False, 0.0)


ANSWERS: dict[str, tuple[dict[str, Any], Release, bytes, str, Behaviour, str]] = {
    "openai-stream": (
        {"stream": True},
        CHAT,
        b'{"model":"support","stream":true,"messages":[]}',
        "/v1/chat/completions",
        stream(events(["Hel", "lo."])),
        "Hello.",
    ),
    "responses": (
        {"dialect": "responses", "operation": "responses", "path": "/v1/responses"},
        CHAT,
        b'{"model":"support","input":"Hi"}',
        "/v1/responses",
        answer(
            {
                "id": "resp_1",
                "object": "response",
                "status": "completed",
                "model": SNAPSHOT,
                "output": [
                    {
                        "type": "message",
                        "role": "assistant",
                        "status": "completed",
                        "content": [{"type": "output_text", "text": "Hello."}],
                    }
                ],
            }
        ),
        "Hello.",
    ),
    "anthropic": (
        {
            "dialect": "anthropic",
            "operation": "messages",
            "path": "/v1/messages",
            "headers": (("anthropic-version", "2023-06-01"), ("anthropic-beta", "b1")),
        },
        Release("rel_2", Triple("anthropic/claude-sonnet-4-5-20250929")),
        b'{"model":"support","max_tokens":9,"messages":[]}',
        "/v1/messages",
        answer(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5-20250929",
                "content": [{"type": "text", "text": "Hello."}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 5, "output_tokens": 3},
            }
        ),
        "Hello.",
    ),
    "gemini": (
        {"dialect": "gemini", "operation": "generate", "path": "/v1beta/models/{model}:generateContent"},
        Release("rel_2", Triple("gemini/gemini-2.5-flash")),
        b'{"contents":[]}',
        "/v1beta/models/gemini-2.5-flash:generateContent",
        answer({"candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP", "index": 0}]}),
        "Hello.",
    ),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_dialect_is_called_in_its_own_words(provider: Provider, name: str) -> None:
    """Path, model and headers as the dialect has them; the answer is read whole."""
    more, release, body, path, behaviour, text = ANSWERS[name]
    provider.then(behaviour)
    wanted = job(**more)
    got, _ = call(settings(provider), wanted, body, release=release)
    sent = provider.requests[0]
    assert (got.call.side.status, got.call.side.failed, sent.target) == (200, "", path)
    assert sent.json.get("model") == (None if name == "gemini" else release.snapshot.model)
    assert assembled(wanted, got.call.body, stream=got.call.side.stream).messages[0].text == text
    assert got.call.side.stream is bool(more.get("stream"))
    if name == "anthropic":
        assert (sent.fields["x-api-key"], sent.fields["anthropic-beta"]) == ("sk-own", "b1")
    if name == "gemini":
        assert sent.fields["x-goog-api-key"] == "sk-own"


def test_the_candidates_own_prompt_tools_and_params_are_sent(provider: Provider) -> None:
    """Variables of body and header fill the candidate's prompt, its tools replace the sent ones, and nothing of ours is sent."""
    release, artifacts = made("Be {{how}} to {{who}}.", toolset("look"), params=Params(set={"temperature": 0}))
    body = b'{"model":"support","messages":[],"trivet":{"vars":{"how":"kind"}},"store":true}'
    wanted = job(headers=(("content-type", "application/json"), ("x-trivet-vars", '{"who":"Ann"}')))
    call(settings(provider), wanted, body, release=release, artifacts=artifacts, edits={"store": b"false"})
    sent = provider.requests[0]
    assert sent.json["messages"] == [{"role": "system", "content": "Be kind to Ann."}]
    assert [tool["function"]["name"] for tool in sent.json["tools"]] == ["look"]
    assert (sent.json["store"], sent.json["temperature"], "trivet" in sent.json) == (False, 0, False)
    assert not any(name.startswith("x-trivet") for name in sent.fields)


@pytest.mark.parametrize(
    ("members", "key"),
    [
        ({"api_key": "client", "background_api_key": "sk-background"}, "Bearer sk-background"),
        ({"api_key": ""}, None),
    ],
)
def test_whose_key_it_is(provider: Provider, members: dict[str, Any], key: str | None) -> None:
    """Where live forwards the caller's key, the shadow has one of its own; where none is needed, none is sent."""
    call(settings(provider, **members), job(query="key=AIza-of-the-caller&alt=json"))
    sent = provider.requests[0]
    assert (sent.fields.get("authorization"), sent.target) == (key, "/v1/chat/completions?alt=json")


HOSTED = made(tools=b'[{"type":"web_search_preview"}]')


@pytest.mark.parametrize(
    ("members", "wanted", "release", "artifacts", "body", "reason"),
    [
        ({"api_key": "client"}, job(), CHAT, None, BODY, "no_credential"),
        ({}, job(), Release("r", Triple("nowhere/m")), None, BODY, "provider_unknown"),
        ({}, job(), Release("r", Triple("anthropic/m")), None, BODY, "wrong_dialect"),
        ({"models": None}, job(), *made("Be {{how}}."), BODY, "missing_variable"),
        ({}, job(), *made("Be kind.", prompt_mode=Mode.VERIFY), BODY, "prompt_mismatch"),
        ({}, job(), *HOSTED, BODY, "hosted_tool"),
        (
            {},
            job(),
            Release("r", Triple("openai/m", params=Params(set={"web_search_options": {}}))),
            None,
            BODY,
            "hosted_tool",
        ),
        ({}, job(), CHAT, None, b"[]", "invalid_json"),
    ],
)
def test_what_cannot_be_called_is_a_skip_and_nothing_is_sent(
    provider: Provider,
    members: dict[str, Any],
    wanted: Job,
    release: Release,
    artifacts: dict[str, bytes] | None,
    body: bytes,
    reason: str,
) -> None:
    """The reason is a word; no request leaves."""
    members = {name: value for name, value in members.items() if value is not None}
    with pytest.raises(Skip) as caught:
        call(settings(provider, **members), wanted, body, release=release, artifacts=artifacts)
    assert caught.value.reason == reason and provider.requests == []


def test_an_unreachable_provider_says_nothing_about_the_release() -> None:
    """Nothing was sent, so there is no pair."""
    with Provider() as gone:
        given = settings(gone)
    with pytest.raises(Skip) as caught:
        call(given)
    assert caught.value.reason == "unreachable"


@pytest.mark.parametrize(
    ("behaviour", "shadow", "status", "failed", "kept"),
    [
        (answer({"error": {"code": "bad_thing", "message": "no"}}, 400), {}, 400, "bad_thing", True),
        (answer(b"oops", 500), {}, 500, "", True),
        (hang, {"timeout": 0.2}, 0, "timeout", False),
        (stream(events(["a"])[:1], end="hang"), {"timeout": 0.3}, 200, "timeout", False),
        (stream(events(["a"])[:2], end="cut"), {}, 200, "cut", False),
        (answer(chat_body("x" * 3000, "m")), {"job_bytes": 2000}, 200, "too_large", False),
        (answer(b"zzz", 200, {"content-encoding": "gzip"}), {}, 200, "coded", False),
        (drop, {}, 0, "maybe_sent", False),
        (raw(b"not http\r\n\r\n", close=True), {}, 0, "upstream_protocol", False),
    ],
)
def test_every_way_to_fail_is_the_candidates(
    provider: Provider, behaviour: Behaviour, shadow: dict[str, Any], status: int, failed: str, kept: bool
) -> None:
    """One call, never repeated; the failure is named, and only whole answers are kept."""
    provider.then(behaviour)
    got, _ = call(settings(provider, shadow))
    side = got.call.side
    assert (side.status, side.failed, bool(got.call.body), side.cost) == (status, failed, kept, None)
    assert not got.limited and len(provider.requests) == 1


def test_a_refusal_for_rate_pauses(provider: Provider) -> None:
    """The provider's own wait is kept; nothing is repeated."""
    provider.then(answer({"error": {"code": "rate_limit_exceeded"}}, 429, {"retry-after": "3"}))
    got, _ = call(settings(provider))
    assert (got.limited, got.wait_seconds, len(provider.requests)) == (True, 3.0, 1)


def test_little_quota_left_pauses_after_the_call(provider: Provider) -> None:
    """The answer counts, and the rest of the quota is live traffic's."""
    low = {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "5s",
    }
    provider.then(answer(chat_body("Hi.", "m"), headers=low))
    got, _ = call(settings(provider))
    assert (got.limited, got.wait_seconds, got.call.side.failed) == (False, 5.0, "")


def test_several_endpoints_know_the_model_by_their_own_names(provider: Provider) -> None:
    """The body is spelled for the endpoint that is called, and keeps what makes it harmless."""
    both = [{"url": provider.url, "models": {SNAPSHOT: f"deployment-{n}"}} for n in range(2)]
    call(
        settings(provider, endpoints=both), body=b'{"model":"s","messages":[],"store":true}', edits={"store": b"false"}
    )
    sent = provider.requests[0].json
    assert sent["model"].startswith("deployment-") and sent["store"] is False


def test_where_traffic_may_go(provider: Provider) -> None:
    """Another provider than the live one only where the configuration names it; vendors are told apart."""
    given = settings(provider, {"providers": ["gemini"]})
    one, two, three = (Release(name, Triple(f"{name}/m")) for name in ("openai", "anthropic", "gemini"))

    async def none(_release: Release) -> None:
        return None

    async def go(calls: Calls) -> Any:
        assert calls.allowed(one, one) and calls.allowed(one, three) and not calls.allowed(one, two)
        assert calls.same_vendor(one, one) and not calls.same_vendor(one, two)

    within(given, none, go, [])
    assert NO_LIST.find("openai", "m") is None
