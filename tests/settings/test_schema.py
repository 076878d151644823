"""The JSON Schema of the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings.model import Settings
from gateway.settings.schema import FILE, render, schema

CONFIG = Path(__file__).parents[2] / "config"


def test_the_file_is_in_step() -> None:
    """config/gateway.schema.json is what the types say; write `schema.render()` to it after a change of the types."""
    assert (CONFIG / FILE).read_text() == render()


def test_every_key_is_there() -> None:
    """The top of the schema has every key of the settings, and no other key is allowed."""
    made = schema()
    assert set(made["properties"]) == set(Settings.__struct_fields__)
    assert made["additionalProperties"] is False
    json.dumps(made)


@pytest.mark.parametrize("name", ["gateway", "keys", "production", "gate"])
def test_the_examples_fit(name: str) -> None:
    """An editor that knows the schema finds nothing wrong with the examples."""
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(yaml.safe_load((CONFIG / f"{name}.yaml").read_text()), schema())


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ({"serve": {"workers": 2}}, True),
        ({"serve": {"workers": "${WORKERS:-2}"}}, True),
        ({"serve": {"workers": "two"}}, False),
        ({"serve": {"drain": "30s"}}, True),
        ({"serve": {"body_bytes": "64MiB"}}, True),
        ({"auth": "keys"}, True),
        ({"auth": "maybe"}, False),
        ({"lisen": "x"}, False),
        ({"tls": None}, True),
    ],
)
def test_what_fits(value: dict[str, Any], good: bool) -> None:
    """Units and references fit where numbers stand; typos do not."""
    jsonschema = pytest.importorskip("jsonschema")
    assert jsonschema.Draft202012Validator(schema()).is_valid(value) is good
