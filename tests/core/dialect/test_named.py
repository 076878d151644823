"""Files that a body names."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialect.named import ANY_MARKS, MARKS, MOST, files

GEMINI = "https://generativelanguage.googleapis.com/v1beta/files/abc?x=1"
OWN = {"file_id": "mine"}
NAMED: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("openai", {"messages": [{"content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}, ("file-1",)),
    ("openai", {"tools": [{"function": {"parameters": {"properties": OWN, "examples": [OWN]}}}], "metadata": OWN}, ()),
    ("openai", {"messages": [{"content": 'Read "file_id": "x" of it.'}]}, ()),
    (
        "responses",
        {
            "input": [
                {"content": [{"type": "input_file", "file_id": "file-1"}]},
                {"type": "function_call_output", "output": [{"type": "input_image", "file_id": "file-2"}]},
                {"type": "message", "content": [{"annotations": [{"type": "file_citation", "file_id": "file-3"}]}]},
            ],
            "tools": [
                {"type": "file_search", "vector_store_ids": ["vs_1"]},
                {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-4"]}},
            ],
        },
        ("file-1", "file-2", "file-4", "vs_1"),
    ),
    (
        "anthropic",
        {
            "messages": [
                {"content": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]},
                {"content": [{"type": "tool_use", "input": OWN}, {"type": "container_upload", "file_id": "file_2"}]},
                {
                    "content": [
                        {"type": "x_result", "content": [{"type": "code_execution_output", "file_id": "file_3"}]}
                    ]
                },
            ]
        },
        ("file_1", "file_2"),
    ),
    (
        "gemini",
        {
            "contents": [
                {"parts": [{"fileData": {"fileUri": GEMINI}}, {"file_data": {"file_uri": "files/def"}}]},
                {"parts": [{"fileData": {"fileUri": "https://youtu.be/x"}}, {"fileData": {"fileUri": "gs://b/o"}}]},
                {"parts": [{"functionCall": {"args": {"fileUri": "files/mine"}}}]},
            ],
            "tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/s-1"]}}],
        },
        ("abc", "def", "s-1"),
    ),
]


@pytest.mark.parametrize(("dialect", "body", "named"), NAMED)
def test_what_a_provider_opens_is_found_and_nothing_else(dialect: str, body: dict[str, Any], named: Any) -> None:
    """Ids in every place of an API where a file can be named, none in what is the application's own or a copy of an answer."""
    found = files(json.dumps(body).encode(), MARKS[dialect])
    assert found is not None
    assert tuple(sorted(found)) == named


@given(st.lists(st.booleans(), min_size=7, max_size=7))
def test_an_escaped_name_is_the_same_name(escaped: list[bool]) -> None:
    """However its letters are spelled."""
    name = "".join(f"\\u{ord(c):04x}" if each else c for c, each in zip("file_id", escaped, strict=True))
    assert files(f'{{"a": {{"{name}": "file-1"}}}}'.encode(), MARKS["openai"]) == ("file-1",)


def test_what_cannot_be_told_is_none() -> None:
    """More names than are looked up, and a body that is too large to be read as a tree."""
    many = json.dumps({"file_ids": [str(number) for number in range(MOST + 1)]}).encode()
    assert files(many, ANY_MARKS) is None
    large = b'{"a":[%b1],"file_id":"x"}' % (b"1," * 600_000)
    assert files(large, ANY_MARKS) is None
    assert files(large.replace(b"file_id", b"other"), ANY_MARKS) == ()


def test_it_costs_little_where_none_is_named() -> None:
    """Under half a millisecond at 64 KB, on a machine that does other things too."""
    body = json.dumps(
        {"messages": [{"role": "user", "content": "Say it, and file it in the id of a quick fox. " * 1400}]}
    ).encode()
    took = []
    for _ in range(20):
        began = time.perf_counter()
        assert files(body, MARKS["openai"]) == ()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.0005
