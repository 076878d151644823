"""The form that a request asks its answer in, by dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialect.output import ANY, asked
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
OPERATIONS = {
    "openai": Operation.CHAT,
    "responses": Operation.RESPONSES,
    "anthropic": Operation.MESSAGES,
    "gemini": Operation.GENERATE,
}


def form(dialect: str, body: dict[str, Any], params: dict[str, Any] | None = None) -> bytes:
    """What a request body asks for."""
    envelope = DIALECTS[dialect].read(OPERATIONS[dialect], json.dumps({"model": "m", **body}).encode())
    return asked(dialect, envelope.members, params or {})


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}),
        ("responses", {"text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}}),
        ("anthropic", {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}}),
        ("anthropic", {"output_format": {"type": "json_schema", "schema": SCHEMA}}),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json", "responseSchema": SCHEMA}}),
        ("gemini", {"generation_config": {"response_mime_type": "application/json", "response_schema": SCHEMA}}),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}}),
    ],
)
def test_a_schema_is_found_where_the_dialect_has_it(dialect: str, body: dict[str, Any]) -> None:
    """The schema as sent; a release that sets the member decides in its place."""
    assert json.loads(form(dialect, body)) == SCHEMA
    name = next(iter(body))
    if name != "generation_config":
        assert form(dialect, body, {name: {"type": "text"}}) == b""
        assert json.loads(form(dialect, {}, body)) == SCHEMA


@pytest.mark.parametrize(
    ("dialect", "body", "wanted"),
    [
        ("openai", {"response_format": {"type": "json_object"}}, ANY),
        ("openai", {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, ANY),
        ("responses", {"text": {"format": {"type": "json_object"}}}, ANY),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json"}}, ANY),
        ("openai", {"response_format": {"type": "text"}}, b""),
        ("openai", {"response_format": "json"}, b""),
        ("openai", {"response_format": None}, b""),
        ("responses", {"text": {"format": {"type": "text"}}}, b""),
        ("responses", {"text": {}}, b""),
        ("anthropic", {"output_config": {"effort": "low"}}, b""),
        ("gemini", {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": SCHEMA}}, b""),
        ("gemini", {"generationConfig": {"responseMimeType": 5}}, b""),
        *((dialect, {}, b"") for dialect in DIALECTS),
    ],
)
def test_any_json_and_none(dialect: str, body: dict[str, Any], wanted: bytes) -> None:
    """JSON of no schema is any JSON; words, and what the API does not know, ask for nothing."""
    assert form(dialect, body) == wanted
