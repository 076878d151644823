"""What is read in an answer once it has left: calls against their schema, text against the JSON it should be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.core.dialect.output import ANY
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation
from gateway.live.checks import AT_ONCE, BAD_CALL, BAD_JSON, SCHEMA_BYTES, SCHEMAS_KEPT, SHARE, WAITING, Checks
from tests.provider import chat_body, events, tool_call

PAY = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"], "additionalProperties": False}
FUNCTION = {"name": "pay", "description": "Pays.", "parameters": PAY}
TOOLS = {
    "openai": [{"type": "function", "function": FUNCTION}, {"type": "custom", "custom": {"name": "sql"}}],
    "responses": [{"type": "function", **FUNCTION}, {"type": "custom", "name": "sql"}],
    "anthropic": [{"name": "pay", "input_schema": PAY}],
    "gemini": [{"functionDeclarations": [{"name": "pay", "parameters": PAY}]}],
    "neutral": [FUNCTION],
}
SCHEMA = json.dumps({"type": "object", "required": ["a"]}).encode()


def faults(body: Any, tools: str = "", form: bytes = b"", dialect: str = "openai") -> tuple[str, ...]:
    """What is wrong with an answer."""
    operation = {
        "openai": Operation.CHAT,
        "responses": Operation.RESPONSES,
        "anthropic": Operation.MESSAGES,
        "gemini": Operation.GENERATE,
    }[dialect]
    stream = isinstance(body, bytes)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw = json.dumps(TOOLS[tools]).encode() if tools else b""
    return Checks().faults(DIALECTS[dialect], operation, (data, stream), (raw, form))


def called(dialect: str, arguments: Any) -> dict[str, Any]:
    """An answer that calls `pay`."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    if dialect == "openai":
        return chat_body("", "m", tool_calls=[tool_call("c", "pay", text)])
    if dialect == "responses":
        call = {"type": "function_call", "call_id": "c", "name": "pay", "arguments": text}
        return {"object": "response", "status": "completed", "output": [call]}
    if dialect == "anthropic":
        return {"type": "message", "content": [{"type": "tool_use", "id": "c", "name": "pay", "input": arguments}]}
    return {"candidates": [{"content": {"parts": [{"functionCall": {"name": "pay", "args": arguments}}]}}]}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_arguments_fit_the_tools_schema_or_the_call_is_bad(dialect: str) -> None:
    """In every dialect, against tools as sent and against a release's."""
    for tools in (dialect, "neutral"):
        assert faults(called(dialect, {"sum": 5}), tools, dialect=dialect) == ()
        for bad in ({"sum": "5"}, {}, {"sum": 5, "more": 1}):
            assert faults(called(dialect, bad), tools, dialect=dialect) == (BAD_CALL,), bad
    assert faults(called(dialect, {"sum": "5"}), dialect=dialect) == ()


def test_arguments_that_are_no_json_object_are_bad_and_free_text_is_none() -> None:
    """Torn JSON and another value are; text for a custom tool, and calls of tools whose schema is not known, are not."""
    for text in ('{"sum":', "[5]", "null", "pay 5"):
        assert faults(called("openai", text), "openai") == (BAD_CALL,), text
    custom = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    assert faults(chat_body("", "m", tool_calls=[custom, tool_call("d", "other", "?")]), "openai") == ()
    item = {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"}
    assert (
        faults({"object": "response", "status": "completed", "output": [item]}, "responses", dialect="responses") == ()
    )


@pytest.mark.parametrize(
    ("text", "form", "bad"),
    [
        ('{"a":1}', SCHEMA, False),
        (' {"a":1}\n', ANY, False),
        ("[1]", ANY, False),
        ("null", ANY, False),
        ('{"a":"\\ud800"}', ANY, False),
        ('{"b":1}', SCHEMA, True),
        ("[1]", SCHEMA, True),
        ('```json\n{"a":1}\n```', SCHEMA, True),
        ('{"a":', ANY, True),
        ("", ANY, True),
        ("Sure!", b"", False),
        ("Sure!", b"not json", True),
        ("{}", b"not json", False),
    ],
)
def test_text_is_the_json_that_was_asked_for(text: str, form: bytes, bad: bool) -> None:
    """Whole or streamed; a schema that cannot be read still asks for JSON."""
    wanted = (BAD_JSON,) if bad else ()
    assert faults(chat_body(text, "m"), form=form) == wanted
    assert faults(b"".join(events(list(text))), form=form) == wanted


def test_who_calls_a_tool_or_declines_owes_no_json() -> None:
    """A turn that only calls, and a refusal, say none."""
    assert faults(called("openai", {"sum": 5}), "openai", SCHEMA) == ()
    refusal = {"role": "assistant", "content": None, "refusal": "No."}
    assert faults({"model": "m", "choices": [{"message": refusal, "finish_reason": "stop"}]}, form=SCHEMA) == ()


def test_what_cannot_be_read_is_no_fault_of_the_answer() -> None:
    """A toolset that is none, and an answer that is none."""
    checks = Checks()
    body = json.dumps(called("openai", {"sum": "5"})).encode()
    for raw in (b"[", b"{}", b'[{"type":"function","function":{"name":"pay"}}]'):
        assert checks.faults(DIALECTS["openai"], Operation.CHAT, (body, False), (raw, b"")) == ()
    assert faults(b"<html>", form=ANY) == ()


def test_reading_takes_a_share_of_the_time_and_one_turn_each() -> None:
    """What reading took is waited for before more is read; one per turn of the loop, in order; only so many wait."""
    checks = Checks()
    now, turns = 10.0, []
    assert checks.refusal(now) == ""

    async def work() -> None:
        nonlocal now
        turn = 0

        def read() -> None:
            nonlocal now
            turns.append(turn)
            now += AT_ONCE / 2

        for _ in range(3):
            checks.later(read, lambda: now)
        for turn in range(1, 6):  # noqa: B007 - read by the work
            await asyncio.sleep(0)

    asyncio.run(work())
    assert len(set(turns)) == 3
    assert checks.refusal(now) == "rate"
    assert checks.refusal(now + AT_ONCE / SHARE) == ""
    for _ in range(WAITING):
        checks._waiting.append(lambda: None)
    assert checks.refusal(now + 2 * AT_ONCE / SHARE) == "busy"


def test_what_is_kept_is_bounded() -> None:
    """Schemas at hand are few, and none is large."""
    checks = Checks()
    for n in range(SCHEMAS_KEPT * 2):
        checks.schema(b'{"a":%d}' % n)
    checks.schema(b'{"a":"%b"}' % (b"x" * SCHEMA_BYTES))
    assert len(checks._schemas) <= SCHEMAS_KEPT
    assert all(len(raw) <= SCHEMA_BYTES for raw in checks._schemas)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_canary_string_is_found_in_words_and_calls(dialect: str) -> None:
    """In the arguments of a call, however JSON writes their letters; and nothing is found that is not there."""
    never = ("CANARY-12345", "other-canary")
    for arguments, found in (({"to": "a CANARY-12345 b"}, ("canary_string",)), ({"to": "CANARY-1234"}, ())):
        body = json.dumps(called(dialect, arguments)).encode()
        assert searched(dialect, body, never) == found


def searched(dialect: str, body: bytes, never: tuple[str, ...], *, stream: bool = False) -> tuple[str, ...]:
    """What is wrong with an answer that must not hold these strings."""
    made = (Operation.CHAT, Operation.RESPONSES, Operation.MESSAGES, Operation.GENERATE)
    operation = dict(zip(DIALECTS, made, strict=True))
    return Checks().faults(DIALECTS[dialect], operation[dialect], (body, stream), (b"", b""), never)


def test_a_canary_string_is_found_across_the_pieces_of_a_stream() -> None:
    """Text that comes letter by letter, a refusal, reasoning, and a call whose letters are escaped."""
    never = ("CANARY-12345",)
    pieces = b"".join(events(list("so CANARY-12345."), "m"))
    assert searched("openai", pieces, never, stream=True) == ("canary_string",)
    assert searched("openai", pieces, (), stream=True) == ()
    escaped = chat_body("", "m", tool_calls=[tool_call("c", "pay", '{"a": "\\u0043ANARY-12345"}')])
    for body, found in (
        (escaped, ("canary_string",)),
        (chat_body("", "m", tool_calls=[tool_call("c", "CANARY-12345", "{}")]), ("canary_string",)),
        (chat_body("canary-12345", "m"), ()),
    ):
        assert searched("openai", json.dumps(body).encode(), never) == found
