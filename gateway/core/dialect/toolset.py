"""Toolsets in neutral words: read from any dialect's own shape, written as the canonical bytes that a digest is taken of.

Rule of the file: what a model can see is kept, member by member and in its order; what only a serialiser or a cache sees is
not. A tool that neutral words cannot hold whole stays as its dialect wrote it (`Tool.hosted`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from gateway.core.contract.artifact import Tool
from gateway.core.dialect.schema import faults

NO_PARAMETERS = b'{"type":"object","properties":{}}'
"""What a function without parameters has: the one form that every dialect takes."""
UNSEEN = ("cache_control",)
"""Members of a tool that the model does not see."""

_SCHEMA = ("parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema")
"""Names that dialects have for the JSON Schema of the arguments."""
_FUNCTION = frozenset(("type", "name", "description", "strict", *_SCHEMA, *UNSEEN))
_DECLARATIONS = ("functionDeclarations", "function_declarations")
_HOLDERS = ("tools", "functions", *_DECLARATIONS)
"""Members under which a file may hold its array."""
_KINDS = (None, "function", "custom")
"""Values of `type` that a function may have; Anthropic calls its own `custom`."""

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any = msgspec.json.decode
_encode = msgspec.json.encode


def read(raw: bytes) -> tuple[Tool, ...]:
    """The tools of a request's member or of a stored artifact, in order: OpenAI chat, its older `functions`, OpenAI Responses,
    Anthropic, Gemini, or neutral.

    Raises ValueError that names the tool: not an array of objects, no name, a name twice, parameters that are no object.
    """
    try:
        items = _array(raw)
        tools = tuple(tool for index, item in enumerate(items) for tool in _item(item, f"tool {index + 1}"))
    except msgspec.ValidationError as error:
        raise ValueError("the toolset must be a JSON array of tools, as a request carries it") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the toolset is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("the toolset is nested too deep") from error
    seen: set[str] = set()
    for tool in tools:
        if tool.name and tool.name in seen:
            raise ValueError(f"two tools have the name {tool.name[:64]!r}")
        seen.add(tool.name)
    return tools


def read_file(text: str | bytes) -> tuple[Tool, ...]:
    """The tools of a file: an array as `read` takes it, or an object that holds one as `tools`, `functions` or
    `functionDeclarations`. Raises ValueError as `read`, for an empty toolset, and for parameters that are no JSON Schema."""
    data = (text.encode() if isinstance(text, str) else text).removeprefix(b"\xef\xbb\xbf").strip()
    if _deep(data):
        raise ValueError("the toolset is nested too deep")
    if data.startswith(b"{"):
        data = _held(data)
    tools = read(data)
    if not tools:
        raise ValueError("the toolset is empty; leave the tools `as-sent` if the release does not govern them")
    wrong = [
        f"tool {tool.name!r}: {fault}" for tool in tools if tool.name for fault in faults(_any(bytes(tool.parameters)))
    ]
    if wrong:
        raise ValueError("; ".join(wrong[:10]))
    return tools


def _deep(data: bytes) -> bool:
    """Whether it is nested deeper than orjson reads: 1,024 levels, which is what a request body may have."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return "depth" in str(error) or "recursion" in str(error)
    return False


def canonical(tools: Sequence[Tool]) -> bytes:
    """The bytes a toolset is addressed by: members in fixed order, empty ones left out, no white space. `read` takes them."""
    return b"[" + b",".join(_neutral(tool) for tool in tools) + b"]"


def names(tools: Sequence[Tool]) -> tuple[str, ...]:
    """What the tools are called; for a hosted one its `name`, else its `type`, else its first member."""
    return tuple(tool.name or _called(tool.hosted) for tool in tools)


def parameters_of(tool: Tool) -> bytes:
    """The JSON Schema of a tool's arguments, never empty."""
    found = bytes(tool.parameters)
    return NO_PARAMETERS if found == b"{}" else found


def _neutral(tool: Tool) -> bytes:
    if tool.hosted:
        return bytes(tool.hosted)
    described = b',"description":' + _encode(tool.description) if tool.description else b""
    strict = b',"strict":' + _encode(tool.strict) if tool.strict is not None else b""
    return b'{"name":%b%b,"parameters":%b%b}' % (_encode(tool.name), described, parameters_of(tool), strict)


def _held(data: bytes) -> bytes:
    try:
        members = _object(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"the toolset is not JSON: {error}") from error
    for holder in _HOLDERS:
        if holder in members:
            held = bytes(members[holder])
            return b'[{"functionDeclarations":%b}]' % held if holder in _DECLARATIONS else held
    raise ValueError("the toolset must be a JSON array of tools, or an object that has one as `tools`")


def _item(raw: msgspec.Raw, which: str) -> Iterator[Tool]:
    members = _object(raw)
    for word in _DECLARATIONS:
        if word in members:
            for number, declared in enumerate(_array(members[word])):
                yield _function(_object(declared), f"{which}, declaration {number + 1}", gemini=True)
            rest = {name: value for name, value in members.items() if name != word}
            if rest:
                yield Tool("", hosted=_compact(_encode(rest)))
            return
    inner = members.get("function")
    if inner is not None and bytes(inner)[:1] == b"{":
        if members.keys() - {"type", "function", *UNSEEN}:
            yield Tool("", hosted=_compact(raw))
        else:
            yield _function(_object(inner), which)
        return
    kind = _any(members["type"]) if "type" in members else None
    described = any(word in members for word in _SCHEMA)
    if kind not in _KINDS or (kind == "custom" and not described):
        yield Tool("", hosted=_compact(raw))
    elif "name" in members or described or "description" in members or kind == "function":
        yield _function(members, which)
    elif members:
        yield Tool("", hosted=_compact(raw))
    else:
        raise ValueError(f"{which} is empty")


def _function(members: Mapping[str, msgspec.Raw], which: str, *, gemini: bool = False) -> Tool:
    name = _any(members["name"]) if "name" in members else None
    if not isinstance(name, str) or not name:
        raise ValueError(f"{which} has no name")
    which = f"tool {name[:64]!r}"
    if members.keys() - _FUNCTION:
        # More than neutral words hold, and the model may see it.
        whole = _encode({word: value for word, value in members.items() if word not in UNSEEN})
        return Tool("", hosted=_compact(b'{"functionDeclarations":[%b]}' % whole if gemini else whole))
    description = _any(members["description"]) if "description" in members else None
    strict = _any(members["strict"]) if "strict" in members else None
    _need(isinstance(description, str | None), f"{which}: its description is not a text")
    _need(isinstance(strict, bool | None), f"{which}: strict is not true or false")
    given = [word for word in _SCHEMA if word in members and bytes(members[word]) != b"null"]
    _need(len(given) <= 1, f"{which} has its parameters twice, as {' and '.join(given)}")
    schema = _any(members[given[0]]) if given else {}
    _need(isinstance(schema, dict), f"{which}: its parameters are not an object")
    if gemini and given == ["parameters"]:
        schema = _from_gemini(schema)
    parameters = msgspec.Raw(_encode(schema) if schema else NO_PARAMETERS)
    return Tool(name, description or "", parameters, strict)


def _need(fine: bool, wrong: str) -> None:
    if not fine:
        raise ValueError(wrong)


def _compact(raw: bytes | msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(_encode(_any(raw)))


def _called(hosted: msgspec.Raw) -> str:
    found = _any(bytes(hosted))
    if "functionDeclarations" in found:
        found = found["functionDeclarations"][0]
    inner = found.get("function") or found.get("custom")
    told = (inner.get("name") if isinstance(inner, dict) else None) or found.get("name") or found.get("type")
    return str(told or next(iter(found), ""))


def _from_gemini(schema: Any) -> Any:
    """Gemini's `parameters` as JSON Schema: types in lower case, `nullable` as a type, counts as numbers."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for word, value in schema.items():
        if word == "type" and isinstance(value, str):
            found[word] = value.lower()
        elif word == "properties" and isinstance(value, dict):
            found[word] = {name: _from_gemini(inner) for name, inner in value.items()}
        elif word in ("anyOf", "prefixItems") and isinstance(value, list):
            found[word] = [_from_gemini(inner) for inner in value]
        elif word in ("items", "additionalProperties"):
            found[word] = _from_gemini(value)
        elif word.startswith(("min", "max")) and isinstance(value, str) and value.isdigit():
            found[word] = int(value)
        elif word != "nullable":
            found[word] = value
    if schema.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found
