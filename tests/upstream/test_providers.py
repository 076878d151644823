"""Providers as the hot path wants them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.settings.model import EndpointSettings
from gateway.upstream.breaker import Breaker
from gateway.upstream.providers import BREAKERS, Endpoint, Provider
from gateway.upstream.targets import AddressError
from tests.upstream.harness import Rig, go, settings


def provider(url: str, *, background: bool = False, **members: Any) -> Provider:
    """A provider made from settings."""

    async def scenario(rig: Rig) -> Provider:
        return rig.upstreams.provider("openai")

    return go(settings(url, **members), scenario, background=background)


def constant(url: str, **members: Any) -> list[bytes]:
    """The constant lines of the first endpoint."""
    return provider(url, **members).endpoints[0].constant.split(b"\r\n")[:-1]


@pytest.mark.parametrize(
    ("url", "members", "line"),
    [
        ("https://api.openai.com", {}, b"authorization: Bearer provider-key"),
        ("https://api.mistral.ai", {}, b"authorization: Bearer provider-key"),
        ("https://openrouter.ai/api/v1", {}, b"authorization: Bearer provider-key"),
        ("https://x.example", {}, b"authorization: Bearer provider-key"),
        ("https://api.anthropic.com", {}, b"x-api-key: provider-key"),
        ("https://generativelanguage.googleapis.com", {}, b"x-goog-api-key: provider-key"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", {}, b"authorization: Bearer provider-key"),
        ("https://name.openai.azure.com", {}, b"api-key: provider-key"),
        ("https://x.example", {"vendor": "anthropic"}, b"x-api-key: provider-key"),
        ("https://x.example", {"auth_header": "Api-Key"}, b"api-key: provider-key"),
        ("https://api.anthropic.com", {"auth_header": "authorization"}, b"authorization: Bearer provider-key"),
        ("https://x.example", {"api_key": " provider-key\n"}, b"authorization: Bearer provider-key"),
    ],
)
def test_the_key_goes_where_the_vendor_reads_it(url: str, members: dict[str, Any], line: bytes) -> None:
    """Each vendor gets its key in its own header, and in that one only."""
    lines = constant(url, **members)
    assert lines[0].startswith(b"host: ")
    assert lines[1:] == [line]


def test_client_sends_no_key_of_ours() -> None:
    """With api_key: client there is no key to send."""
    made = provider("https://api.openai.com", api_key="client").endpoints[0]
    assert made.constant == b"host: api.openai.com\r\n"
    assert made.forwards
    assert made.secrets == ()


def test_the_key_of_the_gateways_own_calls_is_a_secret_where_callers_keys_are_forwarded() -> None:
    """It may be sent to that host, so it is taken out of what that host says."""
    made = provider("https://api.openai.com", api_key="client", background_api_key="sk-background").endpoints[0]
    assert made.secrets == (b"sk-background",)


def test_background_takes_its_own_key() -> None:
    """Shadow and probes never use a caller's key: they have their own, or none."""
    made = provider("https://api.openai.com", api_key="client", background_api_key="bg-key", background=True).endpoints[
        0
    ]
    assert b"Bearer bg-key" in made.constant
    assert not made.forwards
    none = provider("https://api.openai.com", api_key="client", background=True).endpoints[0]
    assert not none.forwards
    assert b"authorization" not in none.constant


def test_configured_headers_are_constant() -> None:
    """Headers of the configuration are sent with every request."""
    assert constant("https://x.example", headers={"OpenAI-Organization": "org"})[2:] == [b"OpenAI-Organization: org"]


def test_a_header_that_would_split_is_refused() -> None:
    """A value with a line end never gets into a head."""
    with pytest.raises(ValueError, match="cannot be sent") as caught:
        provider("https://x.example", api_key="a\r\nx: y")
    assert "x: y" not in str(caught.value)


def test_endpoints_are_a_list() -> None:
    """An endpoint of the list has its own name, host, key and deployment names."""
    endpoints = (
        EndpointSettings(url="https://one.openai.azure.com/openai/v1", models={"gpt-4o-2024-08-06": "prod"}),
        EndpointSettings(url="https://two.openai.azure.com", api_key="second-key", weight=2),
    )
    made = provider("https://name.openai.azure.com", endpoints=endpoints)
    first, second = made.endpoints
    assert (first.name, second.name, second.weight) == ("openai", "openai#1", 2)
    assert (first.target.host, first.target.path) == ("one.openai.azure.com", "")
    assert b"api-key: second-key" in second.constant
    assert (first.model("gpt-4o-2024-08-06"), first.model("x")) == ("prod", "x")


def test_i6_addresses_are_checked_again() -> None:
    """A provider that slipped past the check of the configuration is not called."""
    with pytest.raises(AddressError):
        provider("http://10.0.0.1", allow_private=False)


def test_i7_no_secret_in_a_repr() -> None:
    """Providers and endpoints print without keys."""
    made = provider("https://x.example", headers={"x": "header-secret"})
    assert "key" not in repr(made.endpoints)
    assert "secret" not in repr(made.endpoints) + repr(made)
    assert isinstance(made.endpoints[0], Endpoint)


def test_breakers_are_bounded() -> None:
    """However many model names fail, the number of breakers does not grow without end."""
    made = provider("https://x.example").endpoints[0]
    seen: set[int] = {id(made.breaker(f"m{number}")) for number in range(BREAKERS + 500)}
    assert len(made.breakers) <= BREAKERS + 1
    assert len(seen) == len(made.breakers)
    assert isinstance(made.breaker(""), Breaker)
