"""An item is asked in every dialect as an agent would ask it, and answers come back as what checks look at."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Leg, Mode, Release, Triple
from gateway.core.contract.suite import Item
from gateway.core.dialect import toolset
from gateway.core.dialect.legs import Legs, parsed
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import RouteKind, find
from gateway.core.gate.checks import score
from gateway.core.gate.requests import OPERATIONS, UNSIGNED, allowed, manner, request, with_legs

CALL = {"name": "look", "arguments": {"order": 7}, "id": "c1"}
ITEM = msgspec.convert(
    {
        "id": "a",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Where is order 7?"},
            {"role": "assistant", "content": "Looking.", "calls": [CALL]},
            {"role": "tool", "call": "c1", "content": "shipped"},
            {"role": "user", "content": "And?"},
        ],
        "tools": [{"name": "look", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}],
        "check": {"contains": ["shipped"], "calls": [{"name": "look", "arguments": {"order": 7}}]},
        "good": {"text": "Shipped.", "calls": [CALL]},
        "bad": {"text": "No."},
        "max_tokens": 99,
    },
    Item,
)
ANSWERS: dict[str, Any] = {
    "openai": {
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "content": "Shipped.",
                    "tool_calls": [{"id": "x", "type": "function", "function": {"name": "look", "arguments": '{"order":7}'}}],
                },
            }
        ]
    },
    "responses": {
        "status": "completed",
        "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Shipped."}]},
            {"type": "function_call", "call_id": "x", "name": "look", "arguments": '{"order":7}'},
        ],
    },
    "anthropic": {
        "type": "message",
        "stop_reason": "tool_use",
        "content": [
            {"type": "text", "text": "Shipped."},
            {"type": "tool_use", "id": "x", "name": "look", "input": {"order": 7}},
        ],
    },
    "gemini": {
        "candidates": [
            {
                "finishReason": "STOP",
                "content": {"parts": [{"text": "Shipped."}, {"functionCall": {"name": "look", "args": {"order": 7}}}]},
            }
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("dialect", OPERATIONS)
def test_a_request_reads_back(dialect: str) -> None:
    """The gateway's own reader finds the release, the prompt and the tools, and the path leads to the dialect's operation."""
    asking = request(ITEM, dialect, "rel_1")
    route = find(asking.path, ())
    assert (route.kind, route.dialect, route.operation) == (RouteKind.DIALECT, dialect, OPERATIONS[dialect])
    envelope = DIALECTS[dialect].read(asking.operation, asking.body)
    assert (envelope.model or route.alias) == "rel_1"
    assert envelope.prompt() == "Be brief."
    assert toolset.names(toolset.read(envelope.toolset())) == ("look",)
    assert b"shipped" in asking.body
    if dialect != "gemini":  # it has no ids
        assert envelope.results == ("c1",)


@pytest.mark.parametrize("dialect", OPERATIONS)
def test_an_answer_is_scored(dialect: str) -> None:
    """What comes back in a dialect passes the check that its words pass."""
    assembler = DIALECTS[dialect].assembler(OPERATIONS[dialect], stream=False)
    assembler.feed(json.dumps(ANSWERS[dialect]).encode())
    assert score(ITEM, assembler.finish()) == 1.0


def test_turns_alternate_where_they_must() -> None:
    """Anthropic and Gemini take a result and the user's next words as one turn, and calls as objects."""
    anthropic = json.loads(request(ITEM, "anthropic", "m").body)
    assert [turn["role"] for turn in anthropic["messages"]] == ["user", "assistant", "user"]
    assert anthropic["messages"][1]["content"][1]["input"] == {"order": 7}
    gemini = json.loads(request(ITEM, "gemini", "m").body)
    assert [turn["role"] for turn in gemini["contents"]] == ["user", "model", "user"]
    assert gemini["contents"][2]["parts"][0]["functionResponse"] == {"name": "look", "response": {"result": "shipped"}}


def test_how_long_an_answer_may_be() -> None:
    """The item's bound, unless the operator gives another, whatever the dialect calls it."""
    given = (
        {},
        {"max_completion_tokens": 4000},
        {"generationConfig": {"maxOutputTokens": 7}},
        {"generationConfig": None},
    )
    assert [allowed(ITEM, extra) for extra in given] == [99, 4000, 7, 99]


def test_what_the_operator_adds() -> None:
    """A member stands in place of the item's, a bound of tokens under any name replaces the item's, maps are joined."""
    openai = json.loads(request(ITEM, "openai", "m", {"max_completion_tokens": 4000, "temperature": 0}).body)
    assert (openai["max_completion_tokens"], openai["temperature"], "max_tokens" in openai) == (4000, 0, False)
    assert json.loads(request(ITEM, "openai", "m", bound="max_completion_tokens").body)["max_completion_tokens"] == 99
    gemini = json.loads(request(ITEM, "gemini", "m", {"generationConfig": {"temperature": 0}}).body)
    assert gemini["generationConfig"] == {"maxOutputTokens": 99, "temperature": 0}
    signed = json.loads(request(ITEM, "gemini", "m", signature=UNSIGNED).body)
    assert [part.get("thoughtSignature") for part in signed["contents"][1]["parts"]] == [None, UNSIGNED]


@pytest.mark.parametrize("dialect", OPERATIONS)
def test_verified_legs_are_brought(dialect: str) -> None:
    """A release that refuses any prompt or toolset but its own is asked with its own; a served one brings them itself."""
    prompt, tools = b"You are Bo.", toolset.canonical(toolset.read(b'[{"name":"find","parameters":{}}]'))
    stored = {digest(prompt): prompt, digest(tools): tools}

    def legs(mode: Mode) -> Legs:
        return parsed(Release("r", Triple("p/m", Leg(mode, digest(prompt)), Leg(mode, digest(tools)))), stored.get)

    asking = request(ITEM, dialect, "rel_1")
    assert with_legs(asking, legs(Mode.SERVE)) == asking == with_legs(asking, None)
    envelope = DIALECTS[dialect].read(asking.operation, with_legs(asking, legs(Mode.VERIFY)).body)
    assert envelope.prompt() == "You are Bo."
    assert toolset.names(toolset.read(envelope.toolset())) == ("find",)


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro", "gemini-3.8-flash", "gemini-10-x"])
def test_which_gemini_demands_signatures(model: str) -> None:
    """From the third generation on, and no other vendor."""
    assert manner("gemini", "google", model) == ("", "" if model.startswith("gemini-2") else UNSIGNED)
    assert manner("openai", "openai", model) == ("max_completion_tokens", "")
    assert manner("openai", "groq", model) == ("", "")
