"""Whether a value fits a schema: no where it plainly does not, and never where a whole validator says yes."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.dialect.fits import DEEPEST, MOST, fits

PAY = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "sum": {"type": ["integer", "null"]},
        "how": {"enum": ["cash", "card"]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "required": ["to"],
    "additionalProperties": False,
    "$defs": {"line": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
}


@pytest.mark.parametrize(
    ("value", "fit"),
    [
        ({"to": "ann"}, True),
        ({"to": "ann", "sum": 5, "how": "cash", "lines": [{"n": 1}, {"n": 2.0, "more": 1}]}, True),
        ({"to": "ann", "sum": None}, True),
        ({}, False),
        ([], False),
        ("{}", False),
        ({"to": 5}, False),
        ({"to": "ann", "sum": "5"}, False),
        ({"to": "ann", "sum": True}, False),
        ({"to": "ann", "how": "gold"}, False),
        ({"to": "ann", "extra": 1}, False),
        ({"to": "ann", "lines": [{"n": 1}, {}]}, False),
        ({"to": "ann", "lines": {"n": 1}}, False),
    ],
)
def test_a_tools_arguments(value: Any, fit: bool) -> None:
    """Types, required and unknown members, lists of values, items and references within the schema."""
    assert fits(value, PAY) is fit
    assert jsonschema.Draft202012Validator(PAY).is_valid(value) is fit


def test_gemini_writes_types_large_and_says_nullable() -> None:
    """`STRING` is a string, and null fits what is nullable."""
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}
    assert fits({"a": None}, schema)
    assert fits({"a": "x"}, schema)
    assert not fits({"a": 5}, schema)


def test_what_nobody_here_knows_passes() -> None:
    """Unknown types, keywords and references; what is no schema; what is nested too deep or too large to be looked at."""
    for schema in (
        None,
        True,
        [],
        {"type": "strnig"},
        {"$ref": "https://x.example/s"},
        {"$ref": "#/nowhere"},
        {"anyOf": [{}]},
    ):
        assert fits(5, schema)
    deep: dict[str, Any] = {"type": "string"}
    value: Any = 5
    for _ in range(DEEPEST + 1):
        deep, value = {"items": deep}, [value]
    assert fits(value, deep)
    assert fits([1] * MOST + ["x"], {"items": {"type": "integer"}})
    endless = {"$ref": "#"}
    assert fits(5, endless)


NAMES = st.sampled_from(("a", "b", "c"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from((0.0, 1.0, 0.5)) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(("string", "number", "integer", "boolean", "array", "object", "null"))


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of the keywords that count, and of some that do not."""
    words: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.booleans() | inner,
        "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "not": inner,
        "minimum": st.integers(-1, 1),
        "nullable": st.booleans(),
        "$defs": st.fixed_dictionaries({"a": inner}),
        "$ref": st.sampled_from(("#/$defs/a", "#/properties/a", "#/anyOf/0")),
    }
    return st.booleans() | st.fixed_dictionaries({}, optional=words)


@given(st.recursive(schemas(st.booleans()), schemas, max_leaves=5), VALUES)
@settings(max_examples=80, deadline=None)
def test_never_no_where_a_whole_validator_says_yes(schema: Any, value: Any) -> None:
    """Whatever the schema and the value, in the newest draft and in the one most tools are written in."""
    if fits(value, schema):
        return
    for validator in (jsonschema.Draft202012Validator, jsonschema.Draft7Validator):
        try:
            valid = validator(schema).is_valid(value)
        except (RecursionError, jsonschema.exceptions._WrappedReferencingError):
            continue
        assert not valid, (validator, schema, value)
