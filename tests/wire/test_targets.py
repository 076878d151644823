"""Paths, queries and hosts: what passes, and that it passes unchanged."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.errors import BadMessage
from gateway.wire.targets import check_host, check_path, is_own, split_target


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"/v1/chat/completions", "/v1/chat/completions", ""),
        (b"/v1/files/", "/v1/files/", ""),
        (b"/v1beta/models/gemini-2.0:generateContent?alt=sse", "/v1beta/models/gemini-2.0:generateContent", "alt=sse"),
        (b"/openai/deployments/a%20b/chat?api-version=2024", "/openai/deployments/a%20b/chat", "api-version=2024"),
        (b"/a?b=../..//%2f%00\\c", "/a", "b=../..//%2f%00\\c"),
        (b"/a?", "/a", ""),
        (b"/.well-known/x", "/.well-known/x", ""),
        (b"/a/...", "/a/...", ""),
        (b"/a..b/c.", "/a..b/c.", ""),
        (b"/%C3%A9/~x@y:z;q=1,2", "/%C3%A9/~x@y:z;q=1,2", ""),
    ],
)
def test_targets_that_pass(target: bytes, path: str, query: str) -> None:
    """An accepted target is cut at the first question mark and otherwise left as it is."""
    assert split_target(target, frozenset(), secure=False) == (path, query)


@given(st.binary(max_size=20))
def test_a9_an_accepted_path_has_one_reading(rest: bytes) -> None:
    """However it is decoded, once or twice, an accepted path has no empty or dot segment and no control byte."""
    path = b"/" + rest
    try:
        check_path(path)
    except BadMessage:
        return
    for reading in (path, unquote_to_bytes(path), unquote_to_bytes(unquote_to_bytes(path))):
        segments = reading.split(b"/")[1:]
        assert reading.count(b"/") == path.count(b"/")
        assert not any(segment in {b".", b".."} for segment in segments)
        assert b"" not in segments[:-1]
        assert not any(byte < 32 or byte in b"\\#?\x7f" for byte in reading)


@pytest.mark.parametrize(
    "host", [b"a", b"a.b:1", b"127.0.0.1:8080", b"[::1]", b"[::1]:80", b"my_service", b"A-b.c.", b"xn--a"]
)
def test_a7_hosts_that_pass(host: bytes) -> None:
    """Names, addresses and ports as clients send them are accepted."""
    check_host(host)


def test_a8_own_names() -> None:
    """A name listed without a port is ours on any port; one listed with a port on that port only."""
    own = frozenset({"a", "b:1"})
    assert [is_own(name, own) for name in (b"a", b"A:9", b"b", b"b:1", b"B:2", b"c", b"a:x")] == [
        True, True, False, True, False, False, False,
    ]  # fmt: skip
    with pytest.raises(BadMessage) as caught:
        split_target(b"http://a/x", own, secure=True)
    assert caught.value.status == 421
    assert split_target(b"https://a/x", own, secure=True) == ("/x", "")
