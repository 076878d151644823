"""Which uploaded files a body names: what a provider keeps of one tenant must not be read by another through the gateway's key.

Rule of the file: most bodies name none, and for them it is one or two searches of the bytes. Only a body in which a name
stands that could be of a file is read, and then as a tree: an application's own `file_id`, in the arguments of a tool or in a
schema, is none of a provider's.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.core.dialect.splice import unbounded

MARKS = {
    "openai": (b"file_id",),
    "responses": (b"file_id", b"vector_store_ids"),
    "anthropic": (b"file_id",),
    "gemini": (b'ri"', b'ames"'),
}
"""What stands in a body of this dialect that names a file or a store of files: ends of names where they have two spellings, as
each costs a search."""
ANY_MARKS = (*dict.fromkeys(mark for marks in MARKS.values() for mark in marks), b"training_file", b"validation_file")
"""The same where the route is no operation of a dialect: batches, vector stores, fine-tuning."""
MOST = 64
"""Files that a body may name; each may cost a read of the store."""
LONG_BYTES, MOST_COMMAS = 1 << 20, 300_000
"""A body longer than LONG_BYTES with more commas than this is not read as a tree: each could cost an object."""

_ONE = frozenset(("file_id", "input_file_id", "training_file", "validation_file"))
_MANY = frozenset(("file_ids", "input_file_ids", "vector_store_ids", "fileSearchStoreNames", "file_search_store_names"))
_URI = frozenset(("fileUri", "file_uri"))
_FOREIGN = frozenset(
    (
        "args",
        "attributes",
        "annotations",
        "citations",
        "input_schema",
        "metadata",
        "parameters",
        "parametersJsonSchema",
        "parameters_json_schema",
        "response",
        "responseJsonSchema",
        "responseSchema",
        "response_json_schema",
        "response_schema",
        "results",
        "schema",
        "trivet",
    )
)
"""Members whose content is the application's own, or an answer's that is sent back: no provider opens a file for them."""
_MADE = ("_output", "_citation", "_path")
"""How the types end of what an answer said about a file that the model made."""
_CALLS = frozenset(("tool_use", "server_tool_use", "mcp_tool_use"))
_escape = re.compile(rb"\\u00([2-7][0-9A-Fa-f])").sub
_loose = re.compile(
    rb'"(?:[a-z_]*file_ids?|vector_store_ids|(?:training|validation)_file|file_?[Uu]ri|'
    rb'file_?[Ss]earch_?[Ss]tore_?[Nn]ames)"'
).search


def files(body: bytes, marks: tuple[bytes, ...]) -> tuple[str, ...] | None:
    """Ids of the files and stores that a body names to its provider, without a collection before them; None when they are more
    than MOST, or the body is too large to tell. `body` has been scanned. Never raises."""
    # Backwards, because that search stops less often and takes half the time on prose.
    plain = _escape(_unescaped, body) if body.rfind(b"\\u00") >= 0 else body
    for mark in marks:
        if plain.rfind(mark) >= 0:
            break
    else:
        return ()
    if _loose(plain) is None:
        return ()
    if len(body) > LONG_BYTES and body.count(b",") > MOST_COMMAS:
        return None
    found: dict[str, None] = {}
    left: list[Any] = [unbounded(msgspec.json.decode, body)]
    while left:
        node = left.pop()
        if isinstance(node, list):
            left += node
        elif isinstance(node, dict):
            left += _look(node, found)
    return tuple(found) if len(found) <= MOST else None


def _look(node: dict[str, Any], found: dict[str, None]) -> list[Any]:
    """Add what an object names itself; its members that are still to be looked at."""
    kind = node.get("type")
    kind = kind if isinstance(kind, str) else ""
    inner = []
    for name, value in node.items():
        if isinstance(value, (dict, list)) and name not in _MANY:
            if name not in _FOREIGN and not (name == "input" and kind in _CALLS):
                inner.append(value)
        elif name in _ONE and isinstance(value, str):
            if not kind.endswith(_MADE):
                found[value] = None
        elif name in _URI and isinstance(value, str):
            if value.startswith("files/") or "/files/" in value:
                found[_last(value)] = None
        elif name in _MANY:
            found.update(
                (_last(each), None) for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)
            )
    return inner


def _last(name: str) -> str:
    return name.partition("?")[0].rstrip("/").rpartition("/")[2]


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))
