"""Toolsets as chat completions carry them. That they read back is in `test_toolset.py`."""

from __future__ import annotations

import json

from gateway.core.dialect.openai.dialect import OpenAI
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.toolset import read


def test_tools_take_the_place_of_both_members() -> None:
    """`tools` and the older `functions` are replaced together; hosted tools stand as they were written."""
    tools = read(b'[{"name":"a","strict":true},{"type":"custom","custom":{"name":"b"}}]')
    edits = OpenAI().tools_edit(Operation.CHAT, tools)
    assert (edits["functions"], edits["function_call"]) == (None, None)
    assert json.loads(edits["tools"] or b"") == [
        {
            "type": "function",
            "function": {"name": "a", "parameters": {"type": "object", "properties": {}}, "strict": True},
        },
        {"type": "custom", "custom": {"name": "b"}},
    ]


def test_other_operations_take_no_tools() -> None:
    """A completion or an embedding has no place for them."""
    assert OpenAI().tools_edit(Operation.COMPLETIONS, read(b'[{"name":"a"}]')) == {}
