"""Which dialects a host speaks."""

from __future__ import annotations

from gateway.core.dialect.vendors import spoken


def test_what_is_said_wins_and_what_nobody_knows_may_be_anything() -> None:
    """The configuration's word, else the vendor's own format, else anything."""
    assert spoken(("openai",), "anthropic") == ("openai",)
    assert spoken((), "anthropic") == ("anthropic",)
    assert spoken((), "google") == ("gemini",)
    assert spoken((), "openai") == spoken((), "azure") == ("openai", "responses")
    assert spoken((), "self-hosted") == ()
