"""JSON as providers and models write it, read off the live path: whatever it is, it is read as far as it can be.

The rule: two forms of one value give one text. So what is written here has its members sorted and no white space, while
arguments of a tool call keep the order in which the model wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_escape = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
).sub
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError)


def loads(data: bytes) -> Any:
    """The value; None for what is no JSON. Half a character, as of a model that stopped within it, is read as U+FFFD."""
    try:
        return msgspec.json.decode(data)
    except _UNREADABLE:
        if b"\\u" not in data:
            return None
    try:
        return msgspec.json.decode(mended(data))
    except _UNREADABLE:
        return None


def mended(data: bytes) -> bytes:
    """JSON with U+FFFD in place of lone surrogate escapes, which no decoder takes; pairs stay."""
    return _escape(lambda found: b"\\ufffd" if found[1] else found[0], data)


def members(data: bytes) -> dict[str, Any]:
    """The members of an object; none for anything else."""
    found = loads(data)
    return found if isinstance(found, dict) else {}


def written(value: object) -> str:
    """A value as JSON text: members sorted, no white space."""
    return msgspec.json.encode(value, order="sorted").decode()


def arguments(value: object) -> str:
    """Arguments of a tool call as text: a string is JSON that the model wrote and loses its white space, where it is JSON;
    any other value is written in the order it has."""
    if isinstance(value, str):
        found = loads(value.encode("utf-8", "replace"))
        return value if found is None else msgspec.json.encode(found).decode()
    return msgspec.json.encode(value).decode()


def telling(found: Mapping[str, Any]) -> dict[str, Any]:
    """The members that say something: not null, not empty."""
    return {name: value for name, value in found.items() if value is not None and value not in ("", [], {})}


def text_of(value: object) -> str:
    """A string; empty for anything else."""
    return value if isinstance(value, str) else ""


def dict_of(value: object) -> dict[str, Any]:
    """An object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """An array; empty for anything else."""
    return value if isinstance(value, list) else []
