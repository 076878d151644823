"""Bases and paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.targets import joined, safe


@pytest.mark.parametrize(
    ("base", "path", "whole"),
    [
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/api/v1", "/v1/models", "/api/v1/models"),
        ("/openai/v1", "/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/v1beta/openai", "/v1/chat/completions", "/v1beta/openai/chat/completions"),
        ("/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
        ("/anthropic", "/v1/messages", "/anthropic/v1/messages"),
        ("/v1beta", "/v1beta/models/x:generateContent", "/v1beta/models/x:generateContent"),
        ("/llm", "/v1/files/a", "/llm/v1/files/a"),
        ("/v1", "/files/a", "/v1/files/a"),
        ("/v1", "/v1x/a", "/v1/v1x/a"),
        ("/v1", "/v1", "/v1"),
        ("", "/", "/"),
    ],
)
def test_joining(base: str, path: str, whole: str) -> None:
    """A base URL as people copy it from an SDK's documentation gives the provider's real path."""
    assert joined(base, path) == whole


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1beta/models/gemini-2.0:generateContent", "/v1/files/a%20b", "/a/b.c/"]
)
def test_r3_plain_paths_go(path: str) -> None:
    """Ordinary paths, escapes and colons included, may be sent."""
    assert safe(path)


@pytest.mark.parametrize(
    "path",
    ["", "v1", "/a/../b", "/a/%2e%2e/b", "/a/%2E./b", "/./a", "//a", "/a//b", "/a%2fb", "/a%5Cb", "/a\\b", "/a b", "/a\r\nx", "/a\x00", "/a#b", "/ä", "/a%0d%0a"],
)  # fmt: skip
def test_r3_tricks_do_not(path: str) -> None:
    """Whatever two parsers could read differently is never sent, even if it got this far."""
    assert not safe(path)


@given(st.text(max_size=40))
def test_r3_nothing_unsafe_passes(text: str) -> None:
    """A path that may be sent is one line of visible ASCII without a way out."""
    path = f"/{text}"
    if safe(path):
        assert path.isascii()
        assert not any(c <= " " or c in "\\#\x7f" for c in path)
        assert ".." not in path.split("/")
