"""The protocol parser gives whole replies in order, however the bytes arrive, and refuses what is not the protocol."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gateway.store.resp import Desync, Parser, Push, ReplyError, argument, kind_of, pack


def encode(value: Any) -> bytes:
    """A value as a server would send it."""
    if value is None:
        return b"_\r\n"
    if isinstance(value, bool):
        return b"#t\r\n" if value else b"#f\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, dict):
        inner = b"".join(encode(key) + encode(item) for key, item in value.items())
        return b"%%%d\r\n%b" % (len(value), inner)
    return b"*%d\r\n" % len(value) + b"".join(encode(item) for item in value)


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**63 - 1) | some.binary(max_size=40),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.binary(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(some.lists(VALUES, max_size=6), some.integers(1, 9))
def test_replies_survive_any_slicing(values: list[Any], size: int) -> None:
    """The same replies come out whether the bytes come whole or in slices of any size."""
    data = b"".join(encode(value) for value in values)
    assert Parser().feed(data) == values
    parser = Parser()
    found: list[Any] = []
    for at in range(0, len(data), size):
        found += parser.feed(data[at : at + size])
    assert found == values


def test_rare_kinds() -> None:
    """RESP2 nulls, simple strings, doubles, verbatim strings, sets and errors are read."""
    data = b"$-1\r\n*-1\r\n+OK\r\n,1.5\r\n=7\r\ntxt:abc\r\n~1\r\n:1\r\n:9\r\n-ERR wrong \xff\r\n"
    *values, error = Parser().feed(data)
    assert values == [None, None, b"OK", 1.5, b"abc", [1], 9]
    assert isinstance(error, ReplyError)
    assert error.kind == "err"


def test_push_is_told_apart() -> None:
    """A push message has a type of its own, so that it never answers a command."""
    (message,) = Parser().feed(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\na 1\r\n")
    assert type(message) is Push


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$1_0\r\n",
        b"$3\r\nabcd\r\n",
        b":1\r\n$3\r\nabcd\r\n",
        b":one\r\n",
        b",x\r\n",
        b"%1\r\n*1\r\n:1\r\n:1\r\n",
    ],
)
def test_what_is_not_the_protocol_is_refused(data: bytes) -> None:
    """Junk and impossible lengths raise Desync instead of a guess, also behind good replies of the same read."""
    with pytest.raises(Desync):
        Parser().feed(data)


def test_an_endless_reply_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a reply that does not end is bounded."""
    monkeypatch.setattr("gateway.store.resp.UNREAD_LIMIT", 100_000)
    parser = Parser()
    assert parser.feed(b"$999999999\r\n" + b"a" * 90_000) == []
    with pytest.raises(Desync):
        parser.feed(b"a" * 20_000)


@settings(max_examples=150, deadline=None)
@given(some.binary(max_size=60))
def test_junk_never_raises_anything_else(data: bytes) -> None:
    """Whatever a broken peer sends, the parser raises Desync or waits for more."""
    try:
        Parser().feed(data)
    except Desync:
        return


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("READONLY You can't write against a read only replica.", "readonly"),
        ("LOADING Redis is loading the dataset in memory", "loading"),
        ("OOM command not allowed when used memory > 'maxmemory'. script: abc, on @user_script:3.", "oom"),
        ("ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed", "oom"),
        ("ERR Error running script (call to f_1): @user_script: 1: -MISCONF Redis is configured", "misconf"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "misconf"),
        ("NOSCRIPT No matching script.", "noscript"),
        ("MOVED 1234 127.0.0.1:6381", "moved"),
        ("WRONGPASS invalid username-password pair", "noauth"),
        ("ERR unknown command", "err"),
        ("", "err"),
    ],
)
def test_errors_are_classified(message: str, kind: str) -> None:
    """Every error that needs a reaction of its own has a kind, also where an old server hides it inside a script's error."""
    assert kind_of(message) == kind


def test_pack() -> None:
    """Commands are packed as arrays of strings, by bytes and not by characters."""
    assert pack("SET", b"k", 12, "ü") == b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n12\r\n$2\r\n\xc3\xbc\r\n"
    assert argument(b"ab") == b"$2\r\nab\r\n"
