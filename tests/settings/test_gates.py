"""What the settings say of an eval gate, offline: its suites are read, and everything wrong with them has a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.checks import unproven
from gateway.core.gate.policy import Policy
from gateway.core.gate.suite import SuiteError
from gateway.settings import gates, tables
from gateway.settings.check import placed
from gateway.settings.load import Config, read

HEAD = '{"suite":"mine","version":1,"kind":"task"}\n'
ITEM = '{"id":"a","messages":[{"role":"user","content":"?"}],"check":{"contains":["yes"]},"good":{"text":"yes"},"bad":{"text":"no"}}\n'
BASE = """
providers: {{openai: {{base_url: "https://api.openai.com", api_key: k}}}}
aliases:
  support:
    first_release: {{model: openai/gpt-4o-2024-08-06}}
    gate: {gate}
"""


def config(folder: Path, gate: str, suite: str = HEAD + ITEM) -> Config:
    """A configuration with this gate, beside a suite."""
    (folder / "mine.jsonl").write_text(suite)
    return read(BASE.format(gate=gate).encode(), folder / "gateway.yaml", {})


def policy(made: Config) -> Policy:
    """The policy of its alias."""
    return gates.policy(made.settings.aliases["support"])


def test_a_gate_makes_a_policy(tmp_path: Path) -> None:
    """The suite's own name, version and digest, with margins and repeats in force; files lie beside the configuration."""
    made = policy(config(tmp_path, "{task: mine.jsonl, margins: {task: 3pp}, repeats: {task: 2}, max_age: 7d}"))
    assert made.max_age_ms == 7 * 86_400_000
    (declared,) = made.suites
    assert (declared.suite, declared.kind, declared.tolerated, declared.asked) == ("mine@1", SuiteKind.TASK, 0.03, 2)
    assert (declared.ceiling, len(declared.digest)) == (None, 64)
    assert policy(config(tmp_path, "{safety: gone.jsonl}")).suites[0].digest == ""
    assert policy(config(tmp_path, "{safety: gone.jsonl}")).suites[0].ceiling == 0.05


@pytest.mark.parametrize(
    ("gate", "suite", "told"),
    [
        ("{task: mine.jsonl}", HEAD + ITEM, []),
        ("{task: gone.jsonl}", "", ["gone.jsonl:0: cannot be read"]),
        ("{safety: mine.jsonl}", HEAD + ITEM, ["of kind task, not safety"]),
        ("{task: mine.jsonl}", HEAD + ITEM + "{}\n", ["mine.jsonl:3: is no item"]),
        ("{task: mine.jsonl}", HEAD + ITEM.replace('"bad":{"text":"no"}', '"bad":{"text":"yes"}'), ["bad answer passes"]),
        ("{task: mine.jsonl}", HEAD + ITEM.replace('"contains"', '"judge":"?","contains"'), ["judge: is missing"]),
        ("{task: builtin/nope@1}", "", ["no such built-in suite"]),
        ("{task: builtin/task}", "", ["no such built-in suite"]),
    ],
)  # fmt: skip
def test_what_check_says(tmp_path: Path, gate: str, suite: str, told: list[str]) -> None:
    """Each mistake has its sentence at the line of the gate."""
    made = config(tmp_path, gate, suite)
    found = list(gates.findings(made))
    assert len(found) == len(told)
    for (_, key, message), part in zip(found, told, strict=True):
        assert part in f"{key}: {message}"
    assert [each.line for each in placed(made, found)] == [6] * len(told)


def test_no_suite_is_read_from_elsewhere(tmp_path: Path) -> None:
    """A file that is not there is told by its name; the text of no other file is ever quoted."""
    with pytest.raises(SuiteError, match=r"x\.jsonl:0: cannot be read \(FileNotFoundError\)"):
        gates.read(str(tmp_path / "x.jsonl"))


@pytest.mark.parametrize("name", sorted(p.stem for p in Path(tables.__file__).parents[1].glob("data/suites/*.jsonl")))
def test_built_in_suites_are_whole(name: str) -> None:
    """Each is a suite of its own kind and name, and every item's good answer passes where its bad one fails."""
    head = json.loads(tables.suite(name).split(b"\n", 1)[0])
    found = gates.read(f"builtin/{name}@{head['version']}", SuiteKind(name))
    assert found.head.suite == f"builtin/{name}"
    assert list(unproven(found)) == []


def test_a_suite_of_another_engine(tmp_path: Path) -> None:
    """Its name and version stand for items that nobody here knows; it cannot be read."""
    made = config(tmp_path, "{safety: external/threats@2, ceilings: {safety: 1pp}}")
    (declared,) = policy(made).suites
    assert (declared.suite, declared.digest, declared.external, declared.ceiling) == ("threats@2", "", True, 0.01)
    with pytest.raises(SuiteError, match="evidence import"):
        gates.read("external/threats@2")
