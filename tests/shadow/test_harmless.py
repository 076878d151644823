"""What keeps a request from being sent a second time."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.shadow.harmless import FILES, FOREIGN, STATE, TOOL, check

FUNCTION = {
    "type": "function",
    "function": {"name": "f", "parameters": {"properties": {"file_id": {"type": "string"}}}},
}
SAID = {"messages": [{"role": "user", "content": 'about "file_id" and {"encrypted_content": 1}'}]}


@pytest.mark.parametrize(
    ("dialect", "body", "skip"),
    [
        ("openai", {**SAID, "tools": [FUNCTION]}, ""),
        ("openai", {**SAID, "tools": [{"type": "web_search"}]}, TOOL),
        ("openai", {**SAID, "tools": ["odd"]}, TOOL),
        ("openai", {**SAID, "web_search_options": {}}, TOOL),
        ("openai", {"messages": [{"content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}, FILES),
        ("responses", {"input": "hi", "previous_response_id": "resp_1"}, STATE),
        ("responses", {"input": "hi", "conversation": {"id": "conv_1"}}, STATE),
        ("responses", {"input": "hi", "background": True}, "background"),
        ("responses", {"input": [{"type": "item_reference", "id": "rs_1"}]}, STATE),
        ("responses", {"input": "hi", "tools": [{"type": "mcp", "server_url": "https://x.example"}]}, TOOL),
        ("responses", {"input": [{"type": "input_file", "file_id": "f"}]}, FILES),
        ("responses", {"input": [{"type": "function_call", "arguments": '{"file_id": 1}', "call_id": "c"}]}, ""),
        (
            "anthropic",
            {**SAID, "tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]},
            "",
        ),
        ("anthropic", {**SAID, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, TOOL),
        ("anthropic", {**SAID, "mcp_servers": [{"url": "https://x.example"}]}, "mcp"),
        ("anthropic", {**SAID, "container": "c_1"}, STATE),
        (
            "anthropic",
            {"messages": [{"content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]},
            FILES,
        ),
        (
            "anthropic",
            {"messages": [{"content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"file_id": 1}}]}]},
            "",
        ),
        ("gemini", {"contents": [], "tools": [{"functionDeclarations": []}]}, ""),
        ("gemini", {"contents": [], "tools": [{"googleSearch": {}}]}, TOOL),
        ("gemini", {"contents": [], "cachedContent": "cachedContents/1"}, STATE),
        ("gemini", {"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/x"}}]}]}, FILES),
        ("cohere", {}, "dialect"),
    ],
)
def test_what_acts_is_skipped(dialect: str, body: dict[str, Any], skip: str) -> None:
    """E12: state, hosted tools, connectors and stored files are skipped by reason; words about them, schemas and arguments are not."""
    assert check(dialect, body, same_vendor=True).skip == skip


@pytest.mark.parametrize(
    ("dialect", "body", "edits"),
    [
        ("openai", {**SAID, "store": True}, {"store": b"false"}),
        ("openai", SAID, {}),
        ("responses", {"input": "hi"}, {"store": b"false"}),
        ("responses", {"input": "hi", "store": True}, {"store": b"false"}),
        ("responses", {"input": "hi", "store": False}, {}),
    ],
)
def test_storing_is_switched_off(dialect: str, body: dict[str, Any], edits: dict[str, bytes]) -> None:
    """A request that would be stored is sent with `store: false`; one that would not goes as it is."""
    found = check(dialect, body, same_vendor=True)
    assert (found.skip, dict(found.edits)) == ("", edits)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("responses", {"input": [{"type": "reasoning", "encrypted_content": "x"}]}),
        ("anthropic", {"messages": [{"content": [{"type": "thinking", "thinking": "", "signature": "x"}]}]}),
        ("anthropic", {"messages": [{"content": [{"type": "redacted_thinking", "data": "x"}]}]}),
        ("gemini", {"contents": [{"parts": [{"text": "x", "thoughtSignature": "x"}]}]}),
    ],
)
def test_sealed_state_stays_with_its_vendor(dialect: str, body: dict[str, Any]) -> None:
    """Reasoning that only its vendor can open is never sent to another; to the same vendor it goes."""
    assert check(dialect, body, same_vendor=False).skip == FOREIGN
    assert check(dialect, body, same_vendor=True).skip == ""
