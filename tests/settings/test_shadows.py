"""What the settings let a shadow do, offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.contract.release import Snapshot
from gateway.settings.check import Level
from gateway.settings.check import findings as everything
from gateway.settings.load import read
from gateway.settings.shadows import captures, findings, refusals, to_acknowledge

BASE = """
capture: {capture}
shadow: {{ttl: {ttl}, budget: {budget}, providers: [{providers}]}}
providers:
  openai: {{base_url: "https://api.openai.com", api_key: "{key}", background_api_key: "{background}"}}
  anthropic: {{base_url: "https://api.anthropic.com", api_key: sk-a}}
  twin: {{base_url: "https://twin.example.com", api_key: sk-t, dialects: [openai]}}
aliases:
  support:
    first_release: {{model: openai/gpt-4o-2024-08-06}}
    shadow:
      - release: {{model: "{model}"}}
        rate: {rate}
        acknowledge: {acknowledge}
"""
FINE = {
    "capture": "redacted",
    "ttl": "7d",
    "budget": "5",
    "providers": "",
    "key": "sk-o",
    "background": "",
    "model": "openai/gpt-4o-2024-11-20",
    "rate": "0.1",
    "acknowledge": "false",
}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"capture": "none"}, ["capture: full"]),
        ({"ttl": "0"}, ["the default is 7d", "ttl: 7d"]),
        ({"rate": "0.00001"}, ["above 0"]),
        ({"rate": "1"}, ["acknowledge: true"]),
        ({"rate": "1", "acknowledge": "true"}, []),
        ({"capture": "full"}, ["kept readable"]),
        ({"budget": "0"}, ["nothing limits"]),
        ({"key": "client"}, ["background_api_key"]),
        ({"key": "client", "background": "sk-b"}, []),
        ({"model": "twin/x"}, ["providers: [twin]"]),
        ({"model": "twin/x", "providers": "twin"}, []),
        ({"model": "anthropic/claude-sonnet-4-5-20250929", "providers": "anthropic"}, ["speaks"]),
        ({"providers": "nobody"}, ["not configured"]),
    ],
)
def test_i8_what_must_not_run_is_told_with_the_line_to_write(changed: dict[str, str], told: list[str]) -> None:
    """I8: each mistake stops `trivet check`, and its message holds the line that would allow it."""
    config = read(BASE.format(**{**FINE, **changed}).encode(), Path("x.yaml"), {})
    found = list(findings(config))
    assert all(level == "error" for level, _, _ in found)
    assert len(found) == len(told), found
    for word in told:
        assert any(word in message for _, _, message in found), (word, found)
    assert {f.message for f in everything(config) if f.level is Level.ERROR} == {message for _, _, message in found}


def test_a_broken_pattern_is_found_before_it_breaks_a_worker() -> None:
    """A redaction pattern that is no regular expression stops the check."""
    config = read(b"shadow: {redact: ['(']}", Path("x.yaml"), {})
    assert [key for _, key, _ in findings(config)] == ["shadow.redact[0]"]


def test_one_tenant_that_keeps_something_is_enough() -> None:
    """With `capture: none` for everybody and a word of its own for a tenant, a shadow may run; its contents need an answer."""
    text = BASE.format(**{**FINE, "capture": "none"}) + "tenants: {acme: {capture: full}}\n"
    settings = read(text.encode(), Path("x.yaml"), {}).settings
    assert captures(settings) == {"*": "none", "acme": "full"}
    one, other = Snapshot("openai", "a"), Snapshot("openai", "b")
    assert list(refusals(settings, one, other, 0.2)) == []
    assert len(to_acknowledge(settings, 1000)) == 1 and len(to_acknowledge(settings, 10_000)) == 2
