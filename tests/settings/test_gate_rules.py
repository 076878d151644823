"""The settings of a gate are held to their rules when a configuration is read, with line and key, and without its suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.check import findings
from gateway.settings.gate_rules import external, named
from gateway.settings.load import read

BASE = """
providers: {{openai: {{base_url: "https://api.openai.com", api_key: k}}}}
aliases:
  support:
    first_release: {{model: openai/gpt-4o-2024-08-06}}
    gate: {gate}
    stakes: {stakes}
"""


@pytest.mark.parametrize(
    ("gate", "stakes", "told"),
    [
        ("{task: gone.jsonl, regression: builtin/nope@1}", "high", []),
        ("{max_age: 1d}", "standard", ["names no suite"]),
        ("{safety: external/threats@2}", "standard", []),
        ("{safety: external/threats@2}", "high", ["only runs through this gateway"]),
        ("{safety: external/threats}", "standard", ["must be written external/NAME@VERSION"]),
        ("{task: a, judge: gpt-4o}", "standard", ["must be a release id"]),
        ("{task: a, max_age: 0}", "standard", ["longer than nothing"]),
        ("{task: a, budget: 0}", "standard", ["nothing limits"]),
        ("{task: a, budget: 0}", "low", []),
        ("{task: a, request: {model: x, temperature: 0}}", "standard", ["leave it out"]),
    ],
)
def test_what_is_said_when_it_is_read(gate: str, stakes: str, told: list[str]) -> None:
    """Each mistake has its sentence at the line of the gate; a suite that is not there keeps nothing from starting."""
    config = read(BASE.format(gate=gate, stakes=stakes).encode(), Path("/x/gateway.yaml"), {})
    found = [each for each in findings(config) if ".gate" in each.key]
    assert [each.line for each in found] == [6] * len(told)
    for each, part in zip(found, told, strict=True):
        assert part in each.message
    declared = named(config.settings.aliases["support"].gate)  # type: ignore[arg-type]
    assert all(external(where) or where.startswith(("/x/", "builtin/")) for where in declared.values())
