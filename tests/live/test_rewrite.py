"""What of a body is changed on its way to the provider, and that nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.contract.release import Params
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider

MODEL = "openai/gpt-4o-2024-08-06"


def test_params_are_set_dropped_and_renamed_and_every_other_byte_stays(
    gateway: LiveGateway, provider: Provider
) -> None:
    """The release's params reach the provider; white space, order, escapes and numbers stay as the client wrote them."""
    params = Params(set={"temperature": 0, "new": [1]}, drop=("top_k",), rename={"max_tokens": "max_completion_tokens"})
    gateway.alias("gpt-4o", release(MODEL, params=params))
    body = b'{ "model":"gpt-4o",\n  "temperature" : 0.70,"top_k":4, "max_tokens":1e2, "messages":[ {"role":"user","content":"\\u00e9"} ] }'
    assert gateway.request("POST", "/v1/chat/completions", body).status == 200
    sent = provider.requests[0].body
    assert json.loads(sent) == {
        "model": "gpt-4o-2024-08-06",
        "temperature": 0,
        "max_completion_tokens": 100.0,
        "messages": [{"role": "user", "content": "é"}],
        "new": [1],
    }
    assert b'"messages":[ {"role":"user","content":"\\u00e9"} ]' in sent
    assert b"1e2" in sent


def test_a_snapshot_that_is_asked_for_by_its_own_name_leaves_the_body_alone(
    gateway: LiveGateway, provider: Provider
) -> None:
    """What needs no change gets none: not a byte."""
    body = b'{"messages": [],  "model": "gpt-4o-2024-08-06"}'
    assert gateway.request("POST", "/v1/chat/completions", body).status == 200
    assert provider.requests[0].body == body


def test_our_own_member_never_goes_upstream(gateway: LiveGateway, provider: Provider) -> None:
    """`trivet` in a body is for the gateway."""
    gateway.alias("gpt-4o", release(MODEL))
    assert gateway.chat("gpt-4o", trivet={"vars": {}}).status == 200
    assert "trivet" not in provider.requests[0].json


@pytest.mark.parametrize("members", [{}, {"model": "other"}, {"model": "support"}])
def test_the_deployment_of_an_azure_path_is_the_alias_whatever_the_body_names(
    gateway: LiveGateway, provider: Provider, members: dict[str, str]
) -> None:
    """The path decides, as at Azure; the provider gets its snapshot in the body, as it has no deployment in its own path."""
    gateway.alias("support", release(MODEL))
    got = gateway.request("POST", "/openai/deployments/support/chat/completions", {**members, "messages": []})
    assert (got.status, got.headers["x-trivet-alias"]) == (200, "support")
    assert provider.requests[0].json["model"] == "gpt-4o-2024-08-06"


def elsewhere(redis_url: str, provider: Provider, tmp_path: Path, **more: Any) -> LiveGateway:
    """A gateway whose second provider is a vendor with another wire format."""
    one = {"base_url": provider.url, "api_key": "sk-provider", "allow_private": True}
    providers = {"openai": one, "claude": {**one, "vendor": "anthropic", **more}}
    return LiveGateway(redis_url, tmp_path, providers)


def test_an_alias_of_another_wire_format_names_the_route_to_call(
    redis_server, provider: Provider, tmp_path: Path
) -> None:
    """400 `wrong_dialect` before anybody is called, unless the provider is said to speak this one too."""
    kept = release("claude/claude-sonnet-4-5-20250929")
    with elsewhere(redis_server.url, provider, tmp_path / "a") as gateway:
        gateway.alias("sonnet", kept)
        got = gateway.chat("sonnet")
        assert (got.status, got.json["error"]["code"]) == (400, "wrong_dialect")
        assert "/v1/messages" in got.json["error"]["message"]
        gateway.alias("gpt-4o", release(MODEL))
        for path in ("/v1/messages", "/v1beta/models/gpt-4o:generateContent"):
            got = gateway.request("POST", path, {"model": "gpt-4o", "messages": []})
            assert got.status == 400 and "wrong_dialect" in got.body.decode()
            assert "/v1/chat/completions" in got.json["error"]["message"]
        assert not provider.requests
    with elsewhere(redis_server.url, provider, tmp_path / "b", dialects=["openai", "anthropic"]) as gateway:
        gateway.wait(lambda: gateway.store.pointers.alias("sonnet") is not None)
        assert gateway.chat("sonnet").status == 200


def test_an_alias_under_another_providers_path_is_refused(redis_server, provider: Provider, tmp_path: Path) -> None:
    """400 `wrong_provider`: the path names one provider, the release another, and neither is guessed."""
    one = {"base_url": provider.url, "api_key": "sk-provider", "allow_private": True, "vendor": "openai"}
    with LiveGateway(redis_server.url, tmp_path, {"openai": one, "second": one}) as gateway:
        gateway.alias("gpt-4o", release(MODEL))
        got = gateway.request("POST", "/second/v1/chat/completions", {"model": "gpt-4o", "messages": []})
        assert (got.status, got.json["error"]["code"]) == (400, "wrong_provider")
        assert not provider.requests
        assert gateway.request("POST", "/openai/v1/chat/completions", {"model": "gpt-4o", "messages": []}).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_release_whose_provider_is_not_configured_here_is_404(
    gateway: LiveGateway, provider: Provider, path: str
) -> None:
    """A pointer to a provider that this gateway does not know calls nobody else."""
    gateway.alias("gone", release("nowhere/model-1"))
    got = gateway.request("POST", path, {"model": "gone", "messages": []})
    assert (got.status, got.json["error"]["code"]) == (404, "model_not_found")
    assert not provider.requests
