"""The shape of a tool's JSON Schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialect.schema import faults

WORDS = [
    "type",
    "properties",
    "required",
    "enum",
    "items",
    "anyOf",
    "minItems",
    "pattern",
    "additionalProperties",
    "x-own",
]
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["object", "string", "", "a"]))
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(WORDS), TREES, max_size=4))
def test_what_is_refused_is_no_schema(schema: dict[str, Any]) -> None:
    """Nothing that a JSON Schema validator takes for an object's schema is refused, but an empty `enum`, which no model can fill."""
    found = [fault for fault in faults({"type": "object", **schema}) if ".enum must" not in fault]
    if found and schema.get("type", "object") == "object":
        with pytest.raises(jsonschema.SchemaError):
            jsonschema.Draft202012Validator.check_schema({"type": "object", **schema})


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (None, "are not an object"),
        ({"type": "string"}, "must have type `object`"),
        ({"type": "object", "properties": {"a": {"type": "strng"}}}, "parameters.properties.a.type must be one of"),
        ({"properties": {"a": "string"}}, "parameters.properties.a is not a schema"),
        ({"required": "a"}, "parameters.required must be a list of names"),
        ({"anyOf": [{"minLength": -1}]}, "parameters.anyOf[0].minLength must be a whole number"),
    ],
)
def test_a_fault_names_its_place(schema: Any, said: str) -> None:
    """The place in the schema and what belongs there are told."""
    assert any(said in fault for fault in faults(schema))


def test_a_deep_schema_is_refused() -> None:
    """Nesting beyond what any provider takes ends in a sentence, not in the interpreter's limit."""
    schema: dict[str, Any] = {}
    for _ in range(300):
        schema = {"items": schema}
    assert any("too deep" in fault for fault in faults(schema))
