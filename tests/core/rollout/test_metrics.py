"""The table of metrics."""

from __future__ import annotations

import re

import pytest

from gateway.core.contract.rollout import Action, Guardrail
from gateway.core.rollout.metrics import (
    METRICS,
    TRIPWIRES,
    Kind,
    default_guardrail,
    has_value,
    is_always_seen,
    is_known,
)
from tests.house.tree import ROOT


def test_every_row_can_be_a_guardrail() -> None:
    """Names are their rows' own, every default watches its own metric, and values have a limit where yes and no have none."""
    for name, row in METRICS.items():
        assert row.name == name == row.default.metric and row.meaning and name not in TRIPWIRES
        assert is_known(name) and default_guardrail(name) is row.default
        assert bool(row.unit) == has_value(name) == (row.kind is Kind.VALUE) == bool(row.default.above)
        assert row.default.ratio >= 1


def test_outcomes_are_known_by_their_beginning() -> None:
    """Any outcome is known, has a value, is bad when false, and is not there for every unit; nothing else is known."""
    assert is_known("outcome.resolved") and has_value("outcome.resolved") and not is_always_seen("outcome.resolved")
    assert default_guardrail("outcome.resolved") == Guardrail("outcome.resolved", Action.FREEZE, below=0.5)
    for name in ("outcome.", "outcome", "latency", "", "undeclared_tool"):
        assert not is_known(name)
        with pytest.raises(KeyError):
            default_guardrail(name)


def test_what_not_every_unit_shows() -> None:
    """Errors are judged over all units; tokens and cost over those whose provider told them."""
    assert is_always_seen("error") and is_always_seen("latency_ms")
    assert not is_always_seen("cost_micro") and not is_always_seen("output_tokens")


def test_the_page_has_the_table() -> None:
    """docs/guardrails.md has a row for each metric and each tripwire, with what the code says of it, and no other."""
    page = (ROOT / "docs" / "guardrails.md").read_text(encoding="utf-8")
    rows = {
        name: (row.unit or row.kind.value, row.meaning, told(row.default), f"{row.default.ratio:g}")
        for name, row in METRICS.items()
    }
    five = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", page, re.MULTILINE)
    assert {name: tuple(rest) for name, *rest in five} == rows
    tripwires = page.partition("### Tripwires")[2].partition("## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|$", tripwires, re.MULTILINE)) == dict(TRIPWIRES)


def told(guardrail: Guardrail) -> str:
    """A default as the page writes it."""
    return f"`{guardrail.action.value}`" + (f" above `{guardrail.above}`" if guardrail.above else "")
