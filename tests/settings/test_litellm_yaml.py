"""The text of a converted configuration."""

from __future__ import annotations

import pytest
import yaml

from gateway.settings import tables
from gateway.settings.litellm import convert
from gateway.settings.litellm_yaml import render


@pytest.mark.parametrize("name", ["yes", "on", "3", "1e3", "null", "a:b", "a/b", "-x", "~"])
def test_names_stay_text(name: str) -> None:
    """Whatever YAML makes of a bare word, an alias is called what it was called."""
    document = {"model_list": [{"model_name": name, "litellm_params": {"model": "openai/gpt-4o-2024-08-06"}}]}
    made = yaml.safe_load(render(convert(document, tables.pinning(), {}), "x"))
    assert list(made["aliases"]) == ([name] if name != "~" else [])


def test_an_empty_file_is_a_configuration() -> None:
    """No models make no aliases, and still a file that can be read."""
    assert yaml.safe_load(render(convert({"model_list": None}, tables.pinning(), {}), "x"))["aliases"] == {}
