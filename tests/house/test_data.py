"""Tables that ship in the wheel: every row says where it comes from and when that was read."""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.house.tree import ROOT

TABLES = sorted(path for path in (ROOT / "gateway" / "data").glob("*") if path.suffix in {".toml", ".json"})


def load(path: Path) -> Any:
    """A table as Python values."""
    return tomllib.loads(path.read_text()) if path.suffix == ".toml" else json.loads(path.read_text())


def rows(value: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row: a mapping inside a list, at any depth, with the place it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from rows(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, dict):
                yield f"{where}[{index}]", inner


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_every_row_has_source_and_date(path: Path) -> None:
    """A row that cannot say where and when it was read is not in the table."""
    table = list(rows(load(path)))
    assert table, f"{path.name} has no rows"
    for where, row in table:
        assert str(row.get("source", "")).startswith("https://"), f"{path.name}{where} has no source: {row}"
        assert datetime.date.fromisoformat(str(row.get("date", ""))), f"{path.name}{where} has no date: {row}"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_no_row_is_from_the_future(path: Path) -> None:
    """A date is the day somebody read the source, so it is not ahead of the calendar."""
    tomorrow = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)
    late = [where for where, row in rows(load(path)) if datetime.date.fromisoformat(str(row["date"])) > tomorrow]
    assert not late
