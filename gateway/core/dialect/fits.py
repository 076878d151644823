"""Whether a value fits a JSON Schema, by the few keywords that say what a tool's arguments are made of.

Rule of the file: never "no" where a whole validator says yes. A keyword nobody here knows passes, and so does what lies deeper or
is larger than the bounds; a whole validator may say no where this says yes. No library: live workers load none for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

DEEPEST = 64
"""Levels that are looked at."""
MOST = 2_000
"""Pairs of a value and a schema that are looked at."""

_IS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "string": lambda value: isinstance(value, str),
        "object": lambda value: isinstance(value, dict),
        "array": lambda value: isinstance(value, list),
        "boolean": lambda value: isinstance(value, bool),
        "null": lambda value: value is None,
        "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
        "integer": lambda value: (
            (isinstance(value, int) and not isinstance(value, bool))
            or (isinstance(value, float) and value.is_integer())
        ),
    }
)


def fits(value: object, schema: object) -> bool:
    """Whether a JSON value may be one of the schema. Types count in either case and `nullable` as Gemini writes them; a `$ref`
    is followed within the schema."""
    try:
        return _Look(schema).at(value, schema, 0)
    except RecursionError:
        return True


class _Look:
    """One look at one value, with its bound."""

    __slots__ = ("_left", "_root")

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = MOST

    def at(self, value: Any, schema: Any, depth: int) -> bool:
        """Whether the value may be one of a schema at this depth."""
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0 or depth > DEEPEST:
            return True
        if depth and ("$id" in schema or isinstance(schema.get("id"), str)):
            return True  # its references are its own
        if "$ref" in schema:
            # What stands beside a reference counts in newer drafts only.
            return self.at(value, self._named(schema["$ref"]), depth + 1)
        if value is None and schema.get("nullable") is True:
            return True
        if not _one_of(value, schema.get("type")):
            return False
        if isinstance(listed := schema.get("enum"), list) and value not in listed:
            return False
        if "const" in schema and value != schema["const"]:
            return False
        if isinstance(value, dict):
            return self._object(value, schema, depth)
        items = schema.get("items")
        if isinstance(value, list) and isinstance(items, dict) and "prefixItems" not in schema:
            return all(self.at(item, items, depth + 1) for item in value[: self._left + 1])
        return True

    def _object(self, value: dict[str, Any], schema: dict[str, Any], depth: int) -> bool:
        needed, known = schema.get("required"), schema.get("properties")
        if isinstance(needed, list) and any(isinstance(name, str) and name not in value for name in needed):
            return False
        known = known if isinstance(known, dict) else {}
        closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
        if closed and not value.keys() <= known.keys():
            return False
        return all(self.at(value[name], inner, depth + 1) for name, inner in known.items() if name in value)

    def _named(self, reference: object) -> object:
        """The schema at a place in the root; None, which everything fits, for any other place."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            return None
        found = self._root
        for part in unquote(reference).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(name)
            elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
            if isinstance(found, dict) and ("$id" in found or isinstance(found.get("id"), str)):
                return None
        return found


def _one_of(value: object, kind: object) -> bool:
    words = [kind] if isinstance(kind, str) else kind
    if not isinstance(words, list) or not words:
        return True
    tests = [_IS.get(word.lower()) if isinstance(word, str) else None for word in words]
    return any(test is None or test(value) for test in tests)
