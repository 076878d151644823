"""What an endpoint has from its provider."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.settings.endpoints import dialects, resolved, unattended
from gateway.settings.model import EndpointSettings, ProviderSettings

OPENAI, AZURE = "https://api.openai.com", "https://n.openai.azure.com"


def second(url: str, provider: dict[str, Any], **members: Any) -> EndpointSettings:
    """An endpoint beside OpenAI's own, resolved."""
    listed = (EndpointSettings(url=OPENAI), EndpointSettings(url=url, **members))
    return resolved("openai", ProviderSettings(base_url=OPENAI, endpoints=listed, **provider))[1]


def test_a_provider_without_a_list_is_its_own_endpoint() -> None:
    """The base URL, with everything the provider says."""
    (only,) = resolved("openai", ProviderSettings(base_url=OPENAI, api_key=" k ", headers={"a": "b"}, api_version="v"))
    assert (only.url, only.api_key, only.headers, only.api_version, only.vendor) == (
        OPENAI,
        "k",
        {"a": "b"},
        "v",
        "openai",
    )


@pytest.mark.parametrize(
    ("url", "provider_key", "own_key", "key"),
    [
        (OPENAI + "/v1", "k", "", "k"),
        (OPENAI + "/v1", "client", "", "client"),
        ("https://eu.api.openai.com", "k", "", "k"),
        ("https://eu.api.openai.com", "client", "", ""),
        ("https://eu.api.openai.com", "client", "client", "client"),
        (AZURE, "k", "", ""),
        (AZURE, "client", "", ""),
        (AZURE, "k", "own", "own"),
        ("https://api.groq.com", "k", "", ""),
        ("https://llm.corp.example", "k", "", "k"),
    ],
)
def test_a_key_reaches_only_hosts_it_is_meant_for(url: str, provider_key: str, own_key: str, key: str) -> None:
    """The provider's key goes to its own vendor's hosts, the caller's to the provider's host, unless an endpoint says so."""
    found = second(url, {"api_key": provider_key, "headers": {"x-secret": "s"}}, api_key=own_key)
    assert found.api_key == key
    same_vendor = "azure" not in url and "groq" not in url
    assert found.headers == ({"x-secret": "s"} if same_vendor else {})


def test_hosts_of_no_known_vendor_share_nothing() -> None:
    """Two hosts of which nothing is known are not taken for one another's."""
    listed = (EndpointSettings(url="https://api.together.xyz"),)
    (found,) = resolved("groq", ProviderSettings(base_url="https://api.groq.com", api_key="k", endpoints=listed))
    assert (found.vendor, found.api_key) == ("unknown", "")


def test_each_endpoint_speaks_its_own() -> None:
    """An endpoint's dialects are its own, else the provider's, else its vendor's; together they are the provider's."""
    anthropic = second("https://api.anthropic.com", {"api_key": "k"}, api_key="k")
    assert (anthropic.vendor, anthropic.dialects) == ("anthropic", ("anthropic",))
    assert second(AZURE, {"dialects": ("openai",)}, api_key="k").dialects == ("openai",)
    both = ProviderSettings(
        base_url=OPENAI,
        endpoints=(
            EndpointSettings(url=OPENAI, dialects=("openai",)),
            EndpointSettings(url="https://api.anthropic.com"),
        ),
    )
    assert dialects("x", both) == ("openai", "anthropic")
    assert dialects("openai", ProviderSettings(base_url=OPENAI)) == ("openai", "responses")
    assert dialects("mine", ProviderSettings(base_url="https://api.together.xyz")) == ()


@pytest.mark.parametrize(
    ("members", "may"),
    [
        ({"api_key": "k"}, True),
        ({"api_key": ""}, True),
        ({"api_key": "client"}, False),
        ({"api_key": "client", "background_api_key": "k"}, True),
        ({"api_key": "k", "endpoints": [{"url": "https://b.example", "api_key": "client"}]}, False),
        (
            {
                "api_key": "client",
                "background_api_key": "k",
                "endpoints": [{"url": "https://b.example", "vendor": "azure", "api_key": "client"}],
            },
            False,
        ),
    ],
)
def test_who_can_be_called_when_nobody_asks(members: dict[str, object], may: bool) -> None:
    """The shadow calls with a key of the gateway's own, or not at all."""
    given = msgspec.convert({"base_url": "https://a.example", "vendor": "openai", **members}, ProviderSettings)
    assert unattended("p", given) is may
