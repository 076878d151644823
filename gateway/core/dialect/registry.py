"""Every wire format by name. A new dialect is a package beside the others and one line here."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.core.dialect.anthropic.dialect import Anthropic
from gateway.core.dialect.gemini.dialect import Gemini
from gateway.core.dialect.openai.dialect import OpenAI
from gateway.core.dialect.responses.dialect import Responses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.dialect.base import Dialect

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {"openai": OpenAI(), "responses": Responses(), "anthropic": Anthropic(), "gemini": Gemini()}
)
"""Read-only; the dialects hold no state."""
