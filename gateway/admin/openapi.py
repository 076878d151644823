"""The OpenAPI 3.1 document of the admin API, made from the operation table: it cannot say anything the port does not do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.admin.table import PREFIX, Operation

_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string", "description": "Stable machine word."},
                "param": {"type": ["string", "null"], "description": "The member at fault."},
            },
        }
    },
}
_SUMMARY = {
    "400": "The request is not acceptable.",
    "401": "A token is needed.",
    "403": "The token does not have the right.",
    "404": "There is no such thing.",
    "409": "Refused by the rules; the code says which.",
    "503": "The store cannot be used now.",
}


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The whole document."""
    types = [t for operation in operations for t in (operation.ask, operation.answer)]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trivet admin API",
            "version": version,
            "description": "Everything the command line does. Tokens come from `admin.tokens`; a loopback port without tokens acts as `local`.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _describe(operation: Operation) -> dict[str, Any]:
    schema = _plain(operation.ask)
    inside = operation.in_path()
    members: dict[str, Any] = schema.get("properties", {})
    required = set(schema.get("required", ()))
    parameters = [{"name": name, "in": "path", "required": True, "schema": _bare(members[name])} for name in inside]
    rest = {name: value for name, value in members.items() if name not in inside}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.name.partition(".")[0]],
        "summary": operation.summary,
        "x-trivet-right": operation.right,
        "responses": {"200": {"description": "Done.", "content": _json(_reference(operation.answer))}},
    }
    if operation.method == "GET":
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": _bare(value)}
            for name, value in rest.items()
        ]
    elif rest:
        body: dict[str, Any] = {"type": "object", "properties": rest, "additionalProperties": False}
        if needed := sorted(required - set(inside)):
            body["required"] = needed
        described["requestBody"] = {"required": bool(needed), "content": _json(body)}
    if parameters:
        described["parameters"] = parameters
    for status, text in _SUMMARY.items():
        described["responses"][status] = {
            "description": text,
            "content": _json({"$ref": "#/components/schemas/Error"}),
        }
    return described


def _plain(ask: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a request, its own members in place, other types by reference."""
    (reference,), components = msgspec.json.schema_components([ask], ref_template="#/components/schemas/{name}")
    name = str(reference.get("$ref", "")).rpartition("/")[2]
    return dict(components.get(name, {}))


def _reference(answer: Any) -> dict[str, Any]:
    (reference,), _ = msgspec.json.schema_components([answer], ref_template="#/components/schemas/{name}")
    return dict(reference)


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if not re.fullmatch("title|description", key)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
