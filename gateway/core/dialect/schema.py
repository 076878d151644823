"""Whether a tool's parameters are a JSON Schema that a provider can take: the shape of the keywords, not a whole validator.

Rule of the file: what is refused here is refused by every provider; a keyword nobody here knows passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

TYPES = frozenset(("string", "number", "integer", "boolean", "array", "object", "null"))
DEEPEST = 100
"""Levels of schemas in schemas that are looked at; no provider takes as many."""

_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value is an object of schemas."""
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
"""Keywords whose value is an array of schemas."""
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
"""Keywords whose value is a schema; true and false are schemas too."""


def faults(schema: object) -> Iterator[str]:
    """What is wrong with the parameters of a tool, each with the place in them; nothing when they are fine."""
    if not isinstance(schema, dict):
        yield "its parameters are not an object"
        return
    if "type" in schema and schema["type"] != "object":
        yield "its parameters must have type `object`"
        return
    yield from _look(schema, "parameters", 0)


def _look(schema: object, place: str, depth: int) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{place} is not a schema"
        return
    if depth > DEEPEST:
        yield f"{place} is nested too deep"
        return
    for word, (fits, what) in _WORDS.items():
        if word in schema and not fits(schema[word]):
            yield f"{place}.{word} must be {what}"
    for word in _SCHEMAS:
        inner = schema.get(word)
        if isinstance(inner, dict):
            for name, value in inner.items():
                yield from _look(value, f"{place}.{word}.{name[:64]}", depth + 1)
    for word in _LISTS:
        inner = schema.get(word)
        if isinstance(inner, list):
            for index, value in enumerate(inner):
                yield from _look(value, f"{place}.{word}[{index}]", depth + 1)
    for word in _ONE:
        if word in schema:
            yield from _look(schema[word], f"{place}.{word}", depth + 1)


def _is_type(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == int(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TEXTS = ("$ref", "description", "title", "pattern", "format")
_WORDS: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "type": (_is_type, f"one of {', '.join(sorted(TYPES))}, or a list of them"),
        "required": (_is_names, "a list of names"),
        "enum": (_is_list, "a list that is not empty"),
        **dict.fromkeys(_SCHEMAS, (_is_object, "an object of schemas")),
        **dict.fromkeys(_LISTS, (_is_list, "a list of schemas that is not empty")),
        **dict.fromkeys(_COUNTS, (_is_count, "a whole number that is not negative")),
        **dict.fromkeys(_NUMBERS, (_is_number, "a number")),
        **dict.fromkeys(_TEXTS, (_is_text, "a text")),
    }
)
"""Keyword to what its value must be, as a test and in words."""
