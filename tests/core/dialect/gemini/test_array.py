"""A JSON array over time: the same elements, however it is cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.dialect.gemini.array import Elements

texts = st.text(st.sampled_from('ab"\\[]{},: \n😀'), max_size=8)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=5), st.sampled_from([None, 2]), st.lists(st.integers(0, 500), max_size=12))
def test_elements_are_found_however_it_is_cut(elements: list[Any], indent: int | None, cuts: list[int]) -> None:
    """Every element once, as sent, and the end is noticed where it stands; nothing counts as whole before."""
    data = b"\r\n " + json.dumps(elements, indent=indent, ensure_ascii=False).encode() + b" \n"
    reader, found, closing = Elements(1 << 20), [], []
    position = 0
    for piece in pieces(data, cuts):
        found += reader.feed(piece)
        if reader.closing >= 0:
            closing.append(position + reader.closing)
        position += len(piece)
    assert [json.loads(each) for each in found] == elements
    assert reader.whole
    assert closing == [data.rindex(b"]")]


@pytest.mark.parametrize("cut", range(1, 26))
def test_what_is_cut_is_not_whole(cut: int) -> None:
    """The elements that were whole are there, and no more."""
    data = b'[{"a":"]"}\n,\r\n{"b":[1,2]}]'
    reader = Elements(100)
    found = reader.feed(data[:cut])
    assert not reader.whole
    assert found == [b'{"a":"]"}', b'{"b":[1,2]}'][: (cut > 9) + (cut > 24)]


@pytest.mark.parametrize("data", [b"{}", b"<html>", b"x[1]", b"[1]]", b"[1] x", b'[{"a":1}}', b"", b" "])
def test_what_is_no_array_is_never_whole(data: bytes) -> None:
    """Neither another value, nor anything behind the end."""
    for size in (1, 100):
        reader = Elements(100)
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        assert not reader.whole


def test_a_long_element_is_followed_to_its_end_and_left_out() -> None:
    """Memory stays within the cap; the elements around it are read."""
    data = b'[{"a":1},{"b":"' + b"x" * 500 + b'"},{"c":2}]'
    reader, found = Elements(50), []
    for start in range(0, len(data), 7):
        found += reader.feed(data[start : start + 7])
    assert (found, reader.whole, reader.skipped) == ([b'{"a":1}', b'{"c":2}'], True, True)
