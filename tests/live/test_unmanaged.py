"""Names that are no alias: where they go, and what the policy makes of those that float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.live.gateway import LiveGateway
from tests.provider import Provider


def two(redis_url: str, provider: Provider, tmp_path: Path, **settings: Any) -> LiveGateway:
    """A gateway with two providers of one vendor's models, both this one, that speak two APIs."""
    one: dict[str, Any] = {
        "base_url": provider.url,
        "api_key": "sk-provider",
        "allow_private": True,
        "vendor": "openai",
    }
    one["dialects"] = ["openai", "responses", "anthropic"]
    return LiveGateway(redis_url, tmp_path, {"openai": one, "second": {**one, "api_key": "sk-second"}}, **settings)


def key_of(provider: Provider) -> str:
    """With whose key the provider was called last."""
    return provider.requests[-1].fields["authorization"].removeprefix("Bearer ")


def test_a_name_goes_to_its_prefix_else_the_default(redis_server, provider: Provider, tmp_path: Path) -> None:
    """`provider/model` goes there without the prefix; a prefix that is no provider is part of the name."""
    with two(redis_server.url, provider, tmp_path, default_provider={"openai": "openai"}) as gateway:
        gateway.ready()
        for asked, model, key in (
            ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "sk-provider"),
            ("second/gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "sk-second"),
            ("openai/gpt-4o", "gpt-4o", "sk-provider"),
            ("nobody/gpt-4o", "nobody/gpt-4o", "sk-provider"),
            ("second/", "second/", "sk-provider"),
        ):
            got = gateway.chat(asked)
            assert got.status == 200, asked
            assert (provider.requests[-1].json["model"], key_of(provider)) == (model, key)


def test_without_a_provider_for_the_dialect_it_is_404(redis_server, provider: Provider, tmp_path: Path) -> None:
    """Nothing is guessed where no provider speaks this dialect by default."""
    one = {"base_url": provider.url, "api_key": "k", "allow_private": True, "vendor": "self-hosted"}
    with LiveGateway(redis_server.url, tmp_path, {"mine": one}) as gateway:
        gateway.ready()
        got = gateway.chat("some-model")
        assert (got.status, got.json["error"]["code"]) == (404, "model_not_found")
        assert "default_provider" in got.json["error"]["message"]
        assert gateway.chat("mine/some-model").status == 200


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/responses", "/openai/v1/chat/completions", "/v1/messages"]
)
@pytest.mark.parametrize("name", ["gpt-4o", "something-new"])
def test_refuse_holds_on_every_path_with_a_model(
    redis_server, provider: Provider, tmp_path: Path, path: str, name: str
) -> None:
    """`unmanaged: refuse`: what floats and what nobody knows calls nobody, pass-through included; a snapshot passes."""
    settings = {"unmanaged": "refuse", "default_provider": {"openai": "openai", "anthropic": "openai"}}
    with two(redis_server.url, provider, tmp_path, **settings) as gateway:
        gateway.ready()
        got = gateway.request("POST", path, {"model": name, "messages": []})
        assert got.status == 400
        assert "not pinned" in got.body.decode()
        assert not provider.requests
        assert gateway.request("POST", path, {"model": "gpt-4o-2024-08-06", "messages": []}).status == 200


@pytest.mark.parametrize(
    ("name", "pin"), [("gpt-4o", "floating"), ("gpt-4o-2024-08-06", "pinned"), ("something-new", "unknown")]
)
def test_pass_marks_what_floats(redis_server, provider: Provider, tmp_path: Path, name: str, pin: str) -> None:
    """`unmanaged: pass`: the name goes as it is, and the header says what the table knows of it."""
    with two(redis_server.url, provider, tmp_path, unmanaged="pass") as gateway:
        gateway.ready()
        got = gateway.chat(name)
        assert (got.status, got.headers["x-trivet-pin"]) == (200, pin)
        assert "x-trivet-release" not in got.headers
        assert provider.requests[0].json["model"] == name
