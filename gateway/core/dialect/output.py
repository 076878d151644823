"""The form that a request asks its answer in: JSON of any kind, JSON of a schema, or nothing but words.

Rule of the file: one table of where each dialect says so. What stands there in no shape its API knows asks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.core.dialect.splice import Members

ANY = b"true"
"""Stands for any JSON: the schema that everything fits."""
JSON_TYPE = "application/json"


class Named(msgspec.Struct, gc=False):
    """OpenAI's `json_schema`."""

    schema: msgspec.Raw = msgspec.Raw(ANY)


class Format(msgspec.Struct, gc=False):
    """A format of OpenAI chat, which names its schema, of Responses or of Anthropic, which have it as a member."""

    type: str = ""
    schema: msgspec.Raw = msgspec.Raw(ANY)
    json_schema: Named | None = None


class Holder(msgspec.Struct, gc=False):
    """What holds a format among other members."""

    format: Format | None = None


class Generation(msgspec.Struct, gc=False, rename="camel"):
    """Gemini's `generationConfig`, in both spellings."""

    response_mime_type: str = ""
    mime_type: str = msgspec.field(default="", name="response_mime_type")
    response_schema: msgspec.Raw = msgspec.Raw()
    schema: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="response_schema")
    response_json_schema: msgspec.Raw = msgspec.Raw()
    json_schema: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="response_json_schema")


_format = msgspec.json.Decoder(Format).decode
_holder = msgspec.json.Decoder(Holder).decode
_generation = msgspec.json.Decoder(Generation).decode


def _of(form: Format | None) -> bytes:
    if form is None:
        return b""
    if form.type == "json_schema":
        return bytes(form.json_schema.schema if form.json_schema is not None else form.schema)
    return ANY if form.type == "json_object" else b""


def _gemini(raw: bytes) -> bytes:
    given = _generation(raw)
    if (given.response_mime_type or given.mime_type) != JSON_TYPE:
        return b""
    schemas = (given.response_schema, given.schema, given.response_json_schema, given.json_schema)
    return next((bytes(schema) for schema in schemas if schema), ANY)


_WHERE: Mapping[str, Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {
        "openai": {"response_format": lambda raw: _of(_format(raw))},
        "responses": {"text": lambda raw: _of(_holder(raw).format)},
        "anthropic": {
            "output_config": lambda raw: _of(_holder(raw).format),
            "output_format": lambda raw: _of(_format(raw)),
        },
        "gemini": {"generationConfig": _gemini},
    }
)
"""By dialect: the top-level members that may ask for a form, and how each is read."""


def asked(dialect: str, members: Members, params: Mapping[str, Any]) -> bytes:
    """The JSON Schema that the answer should fit, as sent; ANY for JSON of no schema, empty where words will do. `params` are
    the top-level members that the release sets. Never raises."""
    for name, read in _WHERE.get(dialect, {}).items():
        raw = msgspec.json.encode(params[name]) if name in params else members.get(name)
        if raw:
            try:
                found = read(raw)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                continue
            if found:
                return found
    return b""
