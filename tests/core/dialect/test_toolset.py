"""Toolsets: every dialect's own shape reads to the same neutral tools, and those to the same bytes for ever."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.artifact import Tool, digest
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.toolset import canonical, names, read, read_file

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "at": {"type": ["integer", "null"]}},
    "required": ["city"],
}
NEUTRAL = {"name": "look", "description": "Looks.", "parameters": SCHEMA}
GEMINI_SCHEMA = {
    "type": "OBJECT",
    "properties": {"city": {"type": "STRING"}, "at": {"type": "INTEGER", "nullable": True}},
    "required": ["city"],
}
SHAPES: dict[str, Any] = {
    "neutral": [NEUTRAL],
    "chat": [{"type": "function", "function": NEUTRAL}],
    "responses": [{"type": "function", **NEUTRAL, "strict": None}],
    "anthropic": [
        {"name": "look", "input_schema": SCHEMA, "description": "Looks.", "cache_control": {"type": "ephemeral"}}
    ],
    "anthropic custom": [{"type": "custom", "name": "look", "description": "Looks.", "input_schema": SCHEMA}],
    "gemini": [{"functionDeclarations": [{"name": "look", "description": "Looks.", "parameters": GEMINI_SCHEMA}]}],
    "gemini json": [
        {"function_declarations": [{"name": "look", "description": "Looks.", "parametersJsonSchema": SCHEMA}]}
    ],
    "in an object": {"tools": [NEUTRAL]},
    "legacy": {"model": "m", "functions": [NEUTRAL]},
    "declarations": {"functionDeclarations": [NEUTRAL]},
}
OPERATIONS = {"openai": "chat", "responses": "responses", "anthropic": "messages", "gemini": "generate"}
"""The operation of each dialect that takes tools."""


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_reads_to_the_same_tool(shape: str) -> None:
    """A file in any dialect's shape is the same toolset, however it is indented."""
    for indent in (None, 4):
        assert (
            canonical(read_file(json.dumps(SHAPES[shape], indent=indent)))
            == json.dumps([NEUTRAL], separators=(",", ":")).encode()
        )


def test_the_digest_is_for_ever() -> None:
    """The canonical bytes, and so the address of a stored toolset, do not change from version to version."""
    data = canonical(read_file(json.dumps([{**NEUTRAL, "strict": True}, {"name": "ping"}, {"type": "web_search"}])))
    assert digest(data) == digest(
        b'[{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"city":{"type":"string"},'
        b'"at":{"type":["integer","null"]}},"required":["city"]},"strict":true},'
        b'{"name":"ping","parameters":{"type":"object","properties":{}}},{"type":"web_search"}]'
    )


TOOLS = st.lists(
    st.builds(
        Tool,
        st.text("abc_", min_size=1, max_size=8),
        st.text(max_size=8),
        st.dictionaries(st.sampled_from(["title", "$comment", "x"]), st.text(max_size=4), max_size=2).map(
            lambda more: msgspec.Raw(
                json.dumps(
                    {"type": "object", "properties": {}, **more}, ensure_ascii=False, separators=(",", ":")
                ).encode()
            )
        ),
        st.sampled_from([None, True, False]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda tool: tool.name,
)


@given(TOOLS)
def test_neutral_bytes_read_back(tools: list[Tool]) -> None:
    """What was written is read back tool by tool, and written the same again."""
    data = canonical(tools)
    assert list(read(data)) == tools
    assert canonical(read(data)) == data


@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(tools=TOOLS)
def test_a_rendered_toolset_reads_back(name: str, tools: list[Tool]) -> None:
    """What a dialect renders reads back to the same neutral tools, but for `strict` where the dialect has no such member."""
    dialect = DIALECTS[name]
    operation = Operation(OPERATIONS[name])
    edits = dialect.tools_edit(operation, tools)
    found = read(edits["tools"] or b"")
    assert canonical(found) in (canonical(tools), canonical([Tool(t.name, t.description, t.parameters) for t in tools]))


@pytest.mark.parametrize(
    ("item", "called"),
    [
        ({"type": "web_search", "filters": {"a": 1}}, "web_search"),
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 5}, "web_search"),
        ({"type": "custom", "custom": {"name": "sql", "format": {}}}, "sql"),
        ({"type": "custom", "name": "sql", "format": {"type": "text"}}, "sql"),
        ({"googleSearch": {}}, "googleSearch"),
        ({"name": "look", "input_schema": {"type": "object"}, "input_examples": [{}]}, "look"),
        ({"type": "function", "function": {"name": "look"}, "own": 1}, "look"),
        ({"functionDeclarations": [{"name": "look", "response": {"type": "STRING"}}]}, "look"),
    ],
)
def test_what_is_not_neutral_stays_as_it_is(item: Any, called: str) -> None:
    """A hosted tool, and a function with a member that neutral words have no place for, keep every member in order."""
    tools = read(json.dumps([item]).encode())
    assert [json.loads(bytes(tool.hosted)) for tool in tools] == [item]
    assert names(tools) == (called,)
    assert read(canonical(tools)) == tools


def test_one_gemini_item_can_hold_both() -> None:
    """Declarations become tools, what stands beside them stays a hosted tool."""
    tools = read(json.dumps([{"functionDeclarations": [{"name": "a"}, {"name": "b"}], "googleSearch": {}}]).encode())
    assert names(tools) == ("a", "b", "googleSearch")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("7", "must be a JSON array"),
        ('{"a": 1}', "or an object that has one as `tools`"),
        ("[]", "is empty"),
        ("[[]]", "must be a JSON array of tools"),
        ("[{}]", "tool 1 is empty"),
        ('[{"name": "a"}, {"description": "b"}]', "tool 2 has no name"),
        ('[{"type": "function", "function": {"description": "b"}}]', "tool 1 has no name"),
        ('[{"functionDeclarations": [{"name": ""}]}]', "tool 1, declaration 1 has no name"),
        ('[{"name": "a"}, {"name": "a"}]', "two tools have the name 'a'"),
        ('[{"name": "a", "parameters": "x"}]', "tool 'a': its parameters are not an object"),
        ('[{"name": "a", "parameters": {"type": "array"}}]', "tool 'a': its parameters must have type `object`"),
        (
            '[{"name": "a", "parameters": {"properties": {"b": {"type": "txt"}}}}]',
            "tool 'a': parameters.properties.b.type",
        ),
        ('[{"name": "a", "parameters": {}, "input_schema": {}}]', "tool 'a' has its parameters twice"),
        ('[{"name": "a", "description": 7}]', "tool 'a': its description is not a text"),
        ('[{"name": "a", "strict": "yes"}]', "tool 'a': strict is not true or false"),
        ('[{"name": "a", "parameters": {"x": ' + "[" * 3000 + "]" * 3000 + "}}]", "nested too deep"),
    ],
)
def test_a_bad_toolset_is_refused_by_name(text: str, said: str) -> None:
    """I2: what is wrong with a toolset is said with the tool that has it."""
    with pytest.raises(ValueError) as caught:
        read_file(text)
    assert said in str(caught.value)
