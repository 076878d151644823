"""Rules of endpoints, as `trivet check` tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings.check import findings
from gateway.settings.load import read

MODEL = "gpt-4o-2024-08-06"
OPENAI = {"url": "https://api.openai.com"}
AZURE = {"url": "https://n.openai.azure.com", "api_key": "k2", "models": {MODEL: "prod"}}


def found(*endpoints: dict[str, Any], model: str = f"openai/{MODEL}", **provider: Any) -> list[tuple[str, str, str]]:
    """Level, key and message of what is found about a provider with these endpoints."""
    openai = {"base_url": "https://api.openai.com", "api_key": "k1", "endpoints": list(endpoints), **provider}
    made = {"providers": {"openai": openai}, "aliases": {"a": {"first_release": {"model": model}}}}
    config = read(yaml.safe_dump(made).encode(), Path("gateway.yaml"), {})
    return [(each.level.value, each.key, each.message) for each in findings(config)]


def test_good_endpoints_are_good() -> None:
    """OpenAI and Azure, a second account at the same host, a standby, and a caller's key that is passed on on purpose."""
    assert found(OPENAI, AZURE) == []
    assert found(OPENAI, {**OPENAI, "api_key": "k2", "weight": 0}) == []
    assert found(OPENAI, {**AZURE, "api_key": "client"}, api_key="client") == []


@pytest.mark.parametrize(
    ("endpoints", "provider", "level", "key", "says"),
    [
        ([{**OPENAI, "weight": 0}, {**AZURE, "weight": 0}], {}, "error", "", "only standbys"),
        ([OPENAI, {**OPENAI, "weight": 2}], {}, "error", "[1].url", "another endpoint again"),
        ([OPENAI, {**AZURE, "api_key": ""}], {}, "error", "[1].api_key", "of vendor azure"),
        ([OPENAI, {"url": "https://eu.api.openai.com"}], {"api_key": "client"}, "error", "[1].api_key", "caller's own"),
        ([OPENAI, {**AZURE, "dialects": ["opnai"]}], {}, "error", "[1].dialects[0]", "openai"),
        (
            [OPENAI, {**AZURE, "dialects": ["anthropic"]}],
            {"dialects": ["openai"]},
            "error",
            "[1].dialects",
            "none of the provider's",
        ),
        ([OPENAI, {**AZURE, "auth_header": "x-key"}], {}, "error", "[1].auth_header", "must be one of"),
        ([OPENAI, {**AZURE, "headers": {"a b": "c"}}], {}, "error", "[1].headers.a b", "no header"),
        ([OPENAI, {**AZURE, "api_key": "a\nb"}], {}, "error", "[1].api_key", "no header can carry"),
        ([OPENAI, {**AZURE, "models": {"openai/x": "y"}}], {}, "error", "[1].models.openai/x", "without its provider"),
        ([OPENAI, {**AZURE, "models": {MODEL: " "}}], {}, "error", f"[1].models.{MODEL}", "no name"),
        ([OPENAI, {**AZURE, "models": {"gpt-4o": "prod"}}], {}, "warning", "[1].models.gpt-4o", "floats"),
        ([OPENAI, {**AZURE, "models": {"gtp-4o": "prod"}}], {}, "warning", "[1].models.gtp-4o", "spelled right"),
    ],
)
def test_what_is_wrong_is_named(
    endpoints: list[dict[str, Any]], provider: dict[str, Any], level: str, key: str, says: str
) -> None:
    """One finding at the key it is about, that says what to do, and shows no key."""
    (only,) = found(*endpoints, **provider)
    assert only[:2] == (level, f"providers.openai.endpoints{key}")
    assert says in only[2]
    assert "k1" not in only[2] + only[1]


def test_an_alias_that_no_endpoint_serves() -> None:
    """Where every endpoint has a map, a snapshot in none of them could only ever get a 404."""
    other = {**AZURE, "url": "https://m.openai.azure.com"}
    (only,) = found(AZURE, other, model="openai/gpt-4o-2024-05-13")
    assert only[:2] == ("error", "aliases.a.first_release.model")
    assert "served by no endpoint" in only[2]
    assert found(AZURE, OPENAI, model="openai/gpt-4o-2024-05-13") == []
