"""Turns told from bodies of every dialect."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.contract.pair import Turn
from gateway.shadow.turns import turn

USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [{"role": "system", "content": "s"}, USER]}, Turn.FIRST),
        ({"messages": [USER, {"role": "assistant", "content": "a"}, USER]}, Turn.LATER),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "r"}]},
            Turn.TOOL_RESULT,
        ),
        (
            {"messages": [USER, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
            Turn.TOOL_RESULT,
        ),
        ({"input": "hi"}, Turn.FIRST),
        (
            {
                "input": [
                    {"type": "message", "role": "user"},
                    {"type": "function_call"},
                    {"type": "function_call_output"},
                ]
            },
            Turn.TOOL_RESULT,
        ),
        ({"input": [{"type": "reasoning"}, {"role": "user", "content": "hi"}]}, Turn.LATER),
        ({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, Turn.FIRST),
        (
            {"contents": [{"role": "model", "parts": []}, {"role": "user", "parts": [{"functionResponse": {}}]}]},
            Turn.TOOL_RESULT,
        ),
        ({"prompt": "hi"}, Turn.FIRST),
        ({"messages": ["odd", 1]}, Turn.FIRST),
        ({}, Turn.FIRST),
    ],
)
def test_turns(body: dict[str, Any], expected: Turn) -> None:
    """A conversation that begins, one that goes on, and one that brings what tools returned, are told apart."""
    assert turn(body) is expected
