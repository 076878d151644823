"""Toolsets as the Responses API takes them."""

from __future__ import annotations

import json

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.dialect import toolset
from gateway.core.dialect.responses.tools import edit
from gateway.core.dialect.routes import Operation

SCHEMA = b'{"type":"object","required":["b","a"],"properties":{"b":{},"a":{}}}'
TOOLS = [
    Tool("track", "Where a parcel is.", msgspec.Raw(SCHEMA), strict=False),
    Tool("now"),
    Tool("", hosted=msgspec.Raw(b'{"type" : "web_search"}')),
]


def test_tools_are_flat_and_in_order() -> None:
    """Name, description, schema and strictness beside each other; a hosted tool keeps its bytes."""
    made = edit(Operation.RESPONSES, TOOLS)["tools"]
    assert made is not None
    assert SCHEMA in made
    assert b'{"type" : "web_search"}' in made
    assert [tool.get("name") for tool in json.loads(made)] == ["track", "now", None]
    assert json.loads(made)[0] == {
        "type": "function",
        "name": "track",
        "description": "Where a parcel is.",
        "parameters": json.loads(SCHEMA),
        "strict": False,
    }
    assert "strict" not in json.loads(made)[1]


def test_what_is_rendered_reads_as_the_same_toolset() -> None:
    """A toolset that went out and is read from the wire again has the same digest."""
    made = edit(Operation.COUNT_TOKENS, TOOLS)["tools"]
    assert made is not None
    assert toolset.canonical(toolset.read(made)) == toolset.canonical(toolset.read(toolset.canonical(TOOLS)))


def test_operations_without_tools() -> None:
    """A compaction takes none, so nothing is put in."""
    assert edit(Operation.COMPACT, TOOLS) == {}
    assert edit(Operation.STORED, TOOLS) == {}
