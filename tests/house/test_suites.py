"""Suites that ship in the wheel: each reads, shows by its examples what its checks do, and asks nothing twice."""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gateway.core.contract.suite import Item, Suite, SuiteKind
from gateway.core.gate.checks import unproven
from gateway.core.gate.suite import label, read
from tests.house.tree import ROOT

FILES = sorted((ROOT / "gateway" / "data" / "suites").glob("*.jsonl"))
AT_LEAST = {SuiteKind.TASK: 150, SuiteKind.REGRESSION: 60, SuiteKind.SAFETY: 300}
"""Items below which a suite could not show what its margin asks for."""
ALIKE = 0.4
"""Share of three-word sequences in common from which two items ask the same."""
ASKED = 600
"""Characters of an item's messages."""
SENT = 1_400
"""Characters of an item's messages and tools: a run of the gate pays for them on two releases."""

each_suite = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
own_suites = pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem in set(AT_LEAST)], ids=lambda path: path.stem
)


@cache
def suite(path: Path) -> Suite:
    """A suite as read; a line that is wrong fails here."""
    return read(path.read_bytes(), path.name)


def asked(item: Item) -> str:
    """What an item says, without calls."""
    return "\n".join(said.content for said in item.messages)


def sequences(item: Item) -> frozenset[tuple[str, ...]]:
    """Every three words that follow each other in what a person or tool says."""
    words = re.findall(r"\w+", "\n".join(said.content for said in item.messages if said.role != "system").lower())
    return frozenset(tuple(words[start : start + 3]) for start in range(max(1, len(words) - 2)))


@each_suite
def test_name_and_file_agree(path: Path) -> None:
    """A suite is called by its file, and is of the kind that its name says."""
    head = suite(path).head
    assert label(suite(path)) == f"builtin/{path.stem}@{head.version}"
    assert head.kind == path.stem
    assert head.about


@each_suite
def test_examples_prove_the_checks(path: Path) -> None:
    """Every good answer passes its check and every bad one fails it."""
    assert list(unproven(suite(path))) == []


@own_suites
def test_enough_items_each_with_category(path: Path) -> None:
    """There are enough items for the margin, and each says what it is about."""
    items = suite(path).items
    assert len(items) >= AT_LEAST[suite(path).head.kind]
    assert all(item.category for item in items)


@own_suites
def test_nothing_is_asked_twice(path: Path) -> None:
    """Two items that do not share a source text do not share their wording."""
    rows = [(item, sequences(item)) for item in suite(path).items]
    twice = [
        (one.id, other.id)
        for (one, left), (other, right) in combinations(rows, 2)
        if len(left & right) >= ALIKE * len(left | right) and not (one.group and one.group == other.group)
    ]
    assert not twice


@own_suites
def test_groups_share_their_text(path: Path) -> None:
    """A group has more than one item, and all of them begin with the same source."""
    groups: dict[str, list[str]] = {}
    for item in suite(path).items:
        if item.group:
            groups.setdefault(item.group, []).append(asked(item).partition("\n\n")[0])
    assert all(len(texts) > 1 and len(set(texts)) == 1 for texts in groups.values())


@own_suites
def test_items_are_cheap(path: Path) -> None:
    """What an item sends stays short."""
    long = [
        item.id
        for item in suite(path).items
        if len(asked(item)) > ASKED or len(asked(item)) + sum(len(str(tool.parameters)) for tool in item.tools) > SENT
    ]
    assert not long


@own_suites
def test_calls_fit_the_tools_offered(path: Path) -> None:
    """Whatever a check wants or an example calls is a tool of the item, with arguments that its schema has."""
    for item in suite(path).items:
        schemas = {tool.name: tool.parameters for tool in item.tools}
        for call in (*item.good.calls, *item.bad.calls):
            assert call.name in schemas, item.id
            assert Draft202012Validator(schemas[call.name]).is_valid(call.arguments), item.id
        for call in item.check.calls:
            known = schemas[call.name]["properties"]
            assert isinstance(known, dict), item.id
            assert call.arguments.keys() <= known.keys(), item.id
