"""The documentation shows the state table, and nothing else."""

from __future__ import annotations

import re

import pytest

from gateway.core.contract.rollout import Phase, Word
from gateway.core.rollout.diagram import diagram, render
from gateway.core.rollout.manifest import PRESETS, Manifest
from gateway.core.rollout.table import CAUSES, ROWS
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "rollout.md"


@pytest.mark.parametrize("name", render())
def test_the_page_holds_what_the_table_says(name: str) -> None:
    """docs/rollout.md holds each block as it is rendered; write `diagram.render()` to it after a change of the table."""
    marks = rf"<!-- {name}: [^>]*-->\n\n(.*?)\n\n<!-- end of {name} -->"
    found = re.search(marks, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert found[1] == render()[name]


def test_everything_is_drawn() -> None:
    """The diagram names every phase and every word but the lifting of a bar; the tables have a row for each row and cause."""
    drawn = diagram()
    assert all(phase in drawn for phase in Phase)
    assert {word for word in Word if word not in drawn} == {Word.RETRY}
    assert len(render()["transitions"].splitlines()) == 2 + len(ROWS)
    assert len(render()["causes"].splitlines()) == 2 + len(CAUSES)


def test_every_member_of_the_manifest_is_told() -> None:
    """The page has a row for each member that has a default, and a row for each preset."""
    rows = set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(Manifest.__struct_fields__) - {"kind", "alias", "release"} <= rows
    assert set(PRESETS) <= rows
    assert set(Phase) - {Phase.ABORTED, Phase.ROLLED_BACK, Phase.EXPIRED} <= rows
