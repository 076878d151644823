"""Lenient reading: what is JSON in spirit is read, everything else is nothing, and nothing raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialect import lenient


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":[1,2.5,"\xc3\xa9"]}', {"a": [1, 2.5, "é"]}),
        (b'"\\ud83d"', "\ufffd"),
        (b'"\\ud83d\\ude00 \\uDE00 \\\\ud83d \\u00e9\\n"', "😀 \ufffd \\ud83d é\n"),
        (b"[", None),
        (b"", None),
        (b'"\xff"', None),
        (b"null", None),
        (b'"\\ud83d', None),
        (b"[" * 100_000, None),
    ],
)
def test_what_is_read(data: bytes, value: object) -> None:
    """Half a character is replaced, a whole one written in two halves stays, and what is no JSON is None."""
    assert lenient.loads(data) == value


def test_members_of_an_object_only() -> None:
    """Anything else has none."""
    assert lenient.members(b'{"a":1}') == {"a": 1}
    assert lenient.members(b"[1]") == lenient.members(b"x") == {}


def test_one_text_per_value() -> None:
    """White space and order of members do not show; the order of arguments does."""
    assert lenient.written({"b": 1.0, "a": {"z": 1, "c": "é"}}) == '{"a":{"c":"é","z":1},"b":1.0}'
    assert lenient.arguments('{"b": 1.0,\n "a": 2}') == lenient.arguments({"b": 1.0, "a": 2}) == '{"b":1.0,"a":2}'
    assert lenient.arguments('{"b": 1') == '{"b": 1'
    assert lenient.arguments("null") == "null"


def test_what_says_something() -> None:
    """Null and empty go; zero and false stay."""
    found = {"a": None, "b": "", "c": [], "d": {}, "e": 0, "f": False, "g": "x"}
    assert lenient.telling(found) == {"e": 0, "f": False, "g": "x"}


def test_kinds() -> None:
    """A value of another kind is an empty one of this kind."""
    assert (lenient.text_of("x"), lenient.text_of(5)) == ("x", "")
    assert (lenient.dict_of({"a": 1}), lenient.dict_of([1])) == ({"a": 1}, {})
    assert (lenient.list_of([1]), lenient.list_of({"a": 1})) == ([1], [])


@given(st.binary(max_size=60) | st.text(alphabet='\\ud8fc"[{:}]0 ', max_size=40).map(str.encode))
def test_nothing_raises(data: bytes) -> None:
    """Whatever a provider sends is read or not; what was valid before is the same value after mending."""
    found = lenient.loads(data)
    lenient.written(found)
    lenient.arguments(data.decode("latin-1"))
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return
    if "\\ud" not in json.dumps(plain) and plain not in (float("inf"), float("-inf")):
        assert json.loads(lenient.mended(data)) == plain
