"""The words of LiteLLM that are known."""

from __future__ import annotations

from gateway.settings.litellm_tables import FALLBACKS, MODEL_MEMBERS, PREFIXES, REASONS, UNREACHED
from gateway.settings.urls import target


def test_every_host_may_be_called() -> None:
    """Each known host is an address that a provider may have, and every prefix has a variable for its key."""
    for prefix in PREFIXES.values():
        assert prefix.key.isupper()
        if prefix.url:
            assert target(prefix.url, private="localhost" in prefix.url).path in (
                "",
                "/api",
                "/openai",
                "/inference",
                "/v1/openai",
            )


def test_nothing_is_known_in_two_ways() -> None:
    """A prefix is reached or not, and a fallback is no setting with a reason."""
    assert not set(PREFIXES) & set(UNREACHED)
    assert not set(FALLBACKS) & (set(REASONS) | MODEL_MEMBERS)
