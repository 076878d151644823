"""Where in a run a request stands, told from its body: first turn, later turn, or the results of tools.

The rule: what the model answered before is what makes a turn a later one, for then the request continues what the primary said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.contract.pair import Turn

_HISTORY = ("messages", "input", "contents")
"""Members that hold what was said so far: OpenAI chat and Anthropic, OpenAI Responses, Gemini."""
_ANSWERED = ("assistant", "model")
_CALLED = ("function_call", "custom_tool_call", "reasoning")
_RESULTS = ("tool", "function")
_RESULT_TYPES = ("function_call_output", "custom_tool_call_output", "tool_result")


def turn(body: Mapping[str, Any]) -> Turn:
    """The turn of a decoded request body of any dialect; FIRST where nothing tells otherwise."""
    history: list[Any] = next((body[name] for name in _HISTORY if isinstance(body.get(name), list)), [])
    said = [each for each in history if isinstance(each, dict)]
    if said and _brings_results(said[-1]):
        return Turn.TOOL_RESULT
    return Turn.LATER if any(_answered(each) for each in said) else Turn.FIRST


def _answered(message: Mapping[str, Any]) -> bool:
    return message.get("role") in _ANSWERED or message.get("type") in _CALLED


def _brings_results(message: Mapping[str, Any]) -> bool:
    if message.get("role") in _RESULTS or message.get("type") in _RESULT_TYPES:
        return True
    parts = message.get("content") or message.get("parts")
    if not isinstance(parts, list):
        return False
    return any(
        isinstance(part, dict)
        and (part.get("type") in _RESULT_TYPES or "functionResponse" in part or "function_response" in part)
        for part in parts
    )
