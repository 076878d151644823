"""JSON compared leaf by leaf."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.diff.values import MAX_FOUND, Change, compare

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": 1}, {}, [("$", Change.EXTRA), ("$.a", Change.MISSING)]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("$.a[0]", Change.CHANGED), ("$.a[1]", Change.CHANGED)]),
        ({"a": True}, {"a": 1}, [("$.a", Change.RETYPED)]),
        ({"a": "1"}, {"a": 1}, [("$.a", Change.RETYPED)]),
        ({"a": "New-York"}, {"a": "new york"}, [("$.a", Change.CHANGED)]),
        ({"a": "A-17"}, {"a": "a17"}, [("$.a", Change.NORMALISED)]),
        ({"b": 1, "a": 40}, {"a": 40.0, "b": 1}, []),
        (None, {"a": 1}, [("$", Change.MISSING), ("$.a", Change.EXTRA)]),
    ],
)
def test_leaves(first: Any, second: Any, expected: list[tuple[str, Change]]) -> None:
    """Each kind of change is told at its path; order of members and ways to write a number are none."""
    assert [(leaf.path, leaf.change) for leaf in compare(first, second)] == expected


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    """Nothing is found between equal values."""
    assert compare(value, value) == []


def test_depth_and_size_are_bounded() -> None:
    """A value nested 100,000 deep and one of a million leaves are compared within the bounds."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert len(compare(deep, 1)) == 2
    assert len(compare(list(range(1_000_000)), [])) == MAX_FOUND
