"""The OpenAPI document says what the table says."""

from __future__ import annotations

import json

import jsonschema
import msgspec

from gateway.admin.openapi import document
from gateway.admin.operations import OPERATIONS

DOCUMENT = json.loads(msgspec.json.encode(document(tuple(OPERATIONS.values()), "1.0")))


def test_every_operation_is_described() -> None:
    """Each operation has its path, method, id and right."""
    found = {
        described["operationId"]: (path, method.upper(), described["x-trivet-right"])
        for path, methods in DOCUMENT["paths"].items()
        for method, described in methods.items()
    }
    assert found == {o.name: ("/api/v1" + o.path, o.method, o.right) for o in OPERATIONS.values()}


def test_references_lead_somewhere() -> None:
    """Every $ref names a schema of the document, and every schema is a JSON Schema."""
    text = json.dumps(DOCUMENT)
    names = {part.split('"', 1)[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(DOCUMENT["components"]["schemas"])
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_path_members_are_required_parameters() -> None:
    """Names in the path are parameters, the rest of a GET is query, the rest of a POST is body."""
    rollback = DOCUMENT["paths"]["/api/v1/aliases/{alias}/rollback"]["post"]
    assert [(p["name"], p["in"]) for p in rollback["parameters"]] == [("alias", "path")]
    body = rollback["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["reason"]
    history = DOCUMENT["paths"]["/api/v1/aliases/{alias}/history"]["get"]
    assert {(p["name"], p["in"]) for p in history["parameters"]} == {("alias", "path"), ("limit", "query")}
