"""`trivet config`: schema and what is in force."""

from __future__ import annotations

import json

import jsonschema
import pytest

from gateway.cli.app import main
from tests.gateway_process import Gateway


def test_schema_is_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """Editors can use it."""
    assert main(["config", "schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_show_is_what_is_in_force(gateway: Gateway) -> None:
    """Version and choices of the running gateway, no key."""
    text = gateway.shell("config", "show").stdout
    assert "gpt-4o-2024-08-06" in text
    assert "sk-provider-test-key" not in text
    assert gateway.json("config", "show")["auth"] == "none"
