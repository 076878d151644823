"""Which wire formats a vendor's hosts speak, so that a request never goes where nobody can read it.

Rule of the file: a vendor without a row may speak anything; only what a vendor is known not to speak is refused.
"""

from __future__ import annotations

DIALECTS_OF_VENDOR = {
    "anthropic": ("anthropic",),
    "azure": ("openai", "responses"),
    "google": ("gemini",),
    "openai": ("openai", "responses"),
}
"""Wire formats a vendor's own host speaks; `dialects` in the configuration overrides. Hosts that serve many models often speak
several, so they have no row."""


def spoken(said: tuple[str, ...], vendor: str) -> tuple[str, ...]:
    """The dialects of a host: what the configuration says, else what its vendor speaks; empty means any."""
    return said or DIALECTS_OF_VENDOR.get(vendor, ())
