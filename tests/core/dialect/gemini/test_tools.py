"""A neutral toolset as Gemini's tools."""

from __future__ import annotations

import json

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.dialect.gemini.tools import edit
from gateway.core.dialect.toolset import canonical, read

LOOK = Tool(
    "look", 'Look at "it".', msgspec.Raw(b'{"type":"object","properties":{"z":{"type":"string"},"a":{}}}'), strict=True
)


def test_functions_share_an_entry_and_hosted_tools_have_their_own() -> None:
    """Name, description and the schema as written, in its order; what Google runs stays as its dialect wrote it."""
    tools = (LOOK, Tool("", hosted=msgspec.Raw(b'{"googleSearch":{}}')), Tool("bare"))
    ((name, raw),) = edit(tools).items()
    assert name == "tools" and raw is not None
    assert bytes(LOOK.parameters) in raw
    assert json.loads(raw) == [
        {
            "functionDeclarations": [
                {
                    "name": "look",
                    "description": 'Look at "it".',
                    "parametersJsonSchema": json.loads(bytes(LOOK.parameters)),
                },
                {"name": "bare", "parametersJsonSchema": {"type": "object", "properties": {}}},
            ]
        },
        {"googleSearch": {}},
    ]


def test_what_is_rendered_is_read_again() -> None:
    """The same toolset comes back, less `strict`, which Gemini has no word for."""
    raw = edit((LOOK, Tool("", hosted=msgspec.Raw(b'{"codeExecution":{}}'))))["tools"]
    assert raw is not None
    plain = Tool(LOOK.name, LOOK.description, LOOK.parameters)
    assert canonical(read(raw)) == canonical((plain, Tool("", hosted=msgspec.Raw(b'{"codeExecution":{}}'))))


def test_no_tools_are_an_empty_array() -> None:
    """Every tool sent is gone."""
    assert edit(()) == {"tools": b"[]"}
