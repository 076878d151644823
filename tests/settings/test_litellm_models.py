"""Hosts, deployments and providers of a LiteLLM model list."""

from __future__ import annotations

from gateway.settings import tables
from gateway.settings.litellm_models import Reader, together


def read(*params: dict[str, object]) -> tuple[list[str], Reader]:
    """Names of the providers that come of these entries, each a group of its own."""
    reader = Reader()
    groups = reader.groups([{"model_name": f"m{n}", "litellm_params": each} for n, each in enumerate(params)])
    providers, _ = together(groups, tables.pinning(), reader)
    return [each.name for each in providers], reader


def test_providers_are_called_after_their_vendor_or_host() -> None:
    """A vendor's own host has the vendor's name, another the host's, and no name is given twice or is a route."""
    model = "openai/gpt-4o-2024-08-06"
    names, _ = read(
        {"model": model},
        {"model": model, "api_key": "other-account-key"},
        {"model": model, "api_base": "https://llm.corp.example/v1/"},
        {"model": model, "api_base": "https://api.example.com"},
        {"model": "azure/x", "api_base": "os.environ/BASE"},
    )
    assert names == ["openai", "openai-2", "llm", "openai-api", "azure"]


def test_the_same_key_is_the_same_variable() -> None:
    """One variable per key in the clear, never one that the file uses already, and defaults as LiteLLM reads them."""
    model = "openai/gpt-4o-2024-08-06"
    _, reader = read(
        {"model": model},
        {"model": model, "api_key": "os.environ/OPENAI_API_KEY_1"},
        {"model": model, "api_key": "sk-one-in-the-clear"},
        {"model": model, "api_key": "sk-two-in-the-clear"},
        {"model": model, "api_key": "sk-one-in-the-clear"},
    )
    assert sorted(reader.environment) == ["OPENAI_API_KEY", "OPENAI_API_KEY_1", "OPENAI_API_KEY_2", "OPENAI_API_KEY_3"]
