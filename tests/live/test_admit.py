"""Who may call, and what a key carries."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.core.binding.internal import mint
from tests.live.gateway import STAMP_KEY, LiveGateway, release
from tests.provider import Provider

PINNED = release("openai/gpt-4o-2024-08-06")
ALICE, BOB = "sk-trivet-alice", "sk-trivet-bob"


@pytest.fixture
def keyed(redis_server, provider: Provider, tmp_path: Path):
    """A gateway with two tenants; its provider takes the caller's own key."""
    keys = [
        {"sha256": sha256(ALICE.encode()).hexdigest(), "tenant": "a", "aliases": {"fast": "gpt-4o"}},
        {"sha256": sha256(BOB.encode()).hexdigest(), "tenant": "b"},
    ]
    providers = {"openai": {"base_url": provider.url, "api_key": "client", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers, auth="keys", keys=keys) as running:
        running.alias("gpt-4o", PINNED)
        yield running


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-wrong"}, {"x-api-key": ALICE[:-1] + "f"}])
def test_without_a_valid_key_nothing_is_served(keyed: LiveGateway, provider: Provider, headers: dict[str, str]) -> None:
    """No key, a wrong one and one that differs in its last byte get the same 401."""
    got = keyed.chat("gpt-4o", headers)
    assert (got.status, got.json["error"]["code"]) == (401, "invalid_api_key")
    assert not provider.requests


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-goog-api-key", "api-key", "x-trivet-key"])
def test_the_key_may_stand_in_every_usual_header(keyed: LiveGateway, provider: Provider, name: str) -> None:
    """Each header admits its tenant, and in none of them does the key reach the provider."""
    value = f"Bearer {ALICE}" if name == "authorization" else ALICE
    got = keyed.chat("gpt-4o", {name: value})
    assert got.status == 200
    assert ALICE not in str(provider.requests[0].headers)


def test_the_callers_own_credential_goes_to_the_provider_and_ours_never_does(
    keyed: LiveGateway, provider: Provider
) -> None:
    """With `api_key: client` the other credential is forwarded; a Trivet key stays here."""
    got = keyed.chat("gpt-4o", {"x-trivet-key": ALICE, "authorization": "Bearer sk-own"})
    assert got.status == 200
    assert provider.requests[0].fields["authorization"] == "Bearer sk-own"
    assert ALICE not in str(provider.requests[0].headers)


def test_a_key_in_the_query_is_taken_out_of_it(keyed: LiveGateway, provider: Provider) -> None:
    """It admits as any other would, and no provider sees it, however its name is spelled; two of them are refused."""
    path, body = "/v1/chat/completions", {"model": "gpt-4o", "messages": []}
    for query, left in ((f"key={ALICE}&a=%20", "?a=%20"), (f"b&k%65y={ALICE}", "?b"), (f"key={ALICE}", "")):
        assert keyed.request("POST", f"{path}?{query}", body).status == 200
        assert provider.requests[-1].target == path + left
        assert ALICE not in str(provider.requests[-1].headers)
    assert keyed.request("POST", f"{path}?key={ALICE}&key={BOB}", body).status == 400
    assert keyed.request("POST", f"{path}?key=wrong", body).status == 401


def test_a_query_key_is_a_credential_for_google_and_left_alone_below_others(
    redis_server, provider: Provider, tmp_path: Path
) -> None:
    """It goes on in the header that Google reads, never to another vendor; theirs may have a parameter of that name."""
    client = {"base_url": provider.url, "api_key": "client", "allow_private": True}
    providers = {"gemini": client, "openai": client}
    with LiveGateway(redis_server.url, tmp_path, providers) as gateway:
        for path in ("/v1beta/files?key=g-own&a=1", "/v1/files?key=g-own&a=1", "/gemini/upload/x?key=g-own&a=1"):
            gateway.request("GET", path)
            sent = provider.requests[-1]
            assert sent.target.endswith("?a=1"), path
            assert sent.fields["x-goog-api-key"] == "g-own"
        gateway.request("GET", "/openai/x?key=theirs")
        assert provider.requests[-1].target == "/x?key=theirs"


def test_keys_of_two_tenants_are_ambiguous(keyed: LiveGateway) -> None:
    """Two keys that name two tenants are refused, not ranked."""
    got = keyed.chat("gpt-4o", {"x-api-key": ALICE, "authorization": f"Bearer {BOB}"})
    assert (got.status, got.json["error"]["code"]) == (400, "ambiguous_header")


def test_a_keys_own_map_names_its_aliases(keyed: LiveGateway, provider: Provider) -> None:
    """A model name of the key's map is that alias; for another key it is not."""
    got = keyed.chat("fast", {"x-trivet-key": ALICE, "authorization": "Bearer sk-own"})
    assert got.headers["x-trivet-alias"] == "gpt-4o"
    assert provider.requests[0].json["model"] == "gpt-4o-2024-08-06"


def own(role: str = "gate", *, seconds: float = 60, key: bytes = STAMP_KEY) -> str:
    """A credential of a call of the gateway itself."""
    return mint(key, role, int((time.time() + seconds) * 1000))


@pytest.mark.parametrize("auth", ["keys", "none", "open"])
def test_the_gateway_itself_calls_a_release_whatever_auth_says(
    redis_server, provider: Provider, tmp_path: Path, auth: str
) -> None:
    """It names releases and nothing else, is called with the key for the background, counts under its role, in no limits, and is
    journalled; a credential that has run out or is forged is refused even where nobody needs one."""
    keys = [{"sha256": sha256(ALICE.encode()).hexdigest(), "tenant": "a"}] if auth == "keys" else []
    providers = {
        "openai": {"base_url": provider.url, "api_key": "client", "background_api_key": "sk-b", "allow_private": True},
        "bare": {"base_url": provider.url, "api_key": "client", "allow_private": True},
    }
    tenants = {"default": {"limits": {"requests_per_minute": 1}}}
    lone = release("bare/m-2024-08-06")
    with LiveGateway(redis_server.url, tmp_path, providers, auth=auth, keys=keys, tenants=tenants) as gateway:
        gateway.alias("gpt-4o", PINNED)
        gateway.alias("lone", lone)
        for fields in (
            {"x-trivet-key": own(), "authorization": "Bearer sk-other"},
            {"authorization": f"Bearer {own()}"},
        ):
            got = gateway.chat(PINNED.id, {**fields, "x-trivet-run": "g1"})
            assert (got.status, got.headers["x-trivet-release"]) == (200, PINNED.id)
            assert provider.requests[-1].fields["authorization"] == "Bearer sk-b"
            assert "trivet-own" not in str(provider.requests[-1].headers)
        gateway.chat(PINNED.id, {"x-trivet-key": own("probe")})
        calls = len(provider.requests)
        fields = {"x-trivet-key": own()}
        assert [gateway.chat(name, fields).status for name in ("gpt-4o", "gpt-4o-2024-08-06", "rel_0")] == [404] * 3
        assert gateway.chat(PINNED.id, {**fields, "x-trivet-alias": "gpt-4o"}).status == 404
        for path in ("/v1/models", "/openai/v1/files", "/v1/files", "/trivet/runs/g1"):
            assert gateway.request("GET", path, headers=fields).status == 403, path
        got = gateway.chat(lone.id, fields)
        assert (got.status, got.json["error"]["code"]) == (400, "background_key_missing")
        assert "background_api_key" in got.json["error"]["message"]
        for bad in (own(seconds=-1), own(key=b"f" * 32), "trivet-own.x"):
            assert gateway.chat(PINNED.id, {"x-trivet-key": bad, "authorization": "Bearer sk-own"}).status == 401
        assert len(provider.requests) == calls
        gateway.wait(lambda: gateway.counted["in_flight"] == 0)
        counted = gateway.counted
        assert counted[f"tokens_total{{other,{PINNED.id},gate,input}}"] == 10
        assert counted[f"tokens_total{{other,{PINNED.id},probe,input}}"] == 5
        assert not any(name.startswith("tokens_total") and ",live," in name for name in counted)
        gateway.wait(lambda: len(gateway.flow(gateway.store.run_record("trivet/gate", "g1")).entries) >= 2)
        assert redis_server.ask("EXISTS trivet:exposures:{gpt-4o}") == b":0\r\n"
