"""Why an answer ended, in words that all dialects share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Ending(StrEnum):
    """The classes of finish reasons."""

    NATURAL = "natural"
    CALLS = "calls"
    TRUNCATED = "truncated"
    REFUSAL = "refusal"
    FILTERED = "filtered"
    OTHER = "other"


ENDINGS: Mapping[str, Ending] = MappingProxyType(
    {
        "stop": Ending.NATURAL,
        "end_turn": Ending.NATURAL,
        "stop_sequence": Ending.NATURAL,
        "completed": Ending.NATURAL,
        "tool_calls": Ending.CALLS,
        "function_call": Ending.CALLS,
        "tool_use": Ending.CALLS,
        "length": Ending.TRUNCATED,
        "max_tokens": Ending.TRUNCATED,
        "max_output_tokens": Ending.TRUNCATED,
        "incomplete": Ending.TRUNCATED,
        "model_context_window_exceeded": Ending.TRUNCATED,
        "refusal": Ending.REFUSAL,
        "content_filter": Ending.FILTERED,
        "safety": Ending.FILTERED,
        "recitation": Ending.FILTERED,
        "blocklist": Ending.FILTERED,
        "prohibited_content": Ending.FILTERED,
        "spii": Ending.FILTERED,
        "image_safety": Ending.FILTERED,
    }
)
"""Finish words in lower case, as of OpenAI chat and Responses, Anthropic and Gemini (their API references, 2026)."""


def ending(word: str) -> Ending:
    """The class of a finish word; one that is not in the table is OTHER."""
    return ENDINGS.get(word.lower(), Ending.OTHER)
