"""What people see."""

from __future__ import annotations

import json

import pytest

from gateway.cli import show
from gateway.core.contract.exchange import Usage


def test_tables_do_not_read_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A name with brackets is shown as it is, and a pipe folds nothing."""
    show.table(("name", "count#"), [("[bold]x[/bold]", 3), ("y" * 100, 4)])
    out = capsys.readouterr().out
    assert "[bold]x[/bold]" in out
    assert "y" * 100 in out


def test_empty_tables_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    """No rows is a word, not an empty frame."""
    show.table(("a",), [], empty="no runs")
    assert capsys.readouterr().out.strip() == "no runs"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read standard output whole; notes are elsewhere."""
    show.note("a note")
    show.warn("look here")
    show.json({"a": (1, 2)})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": [1, 2]}
    assert "a note" in captured.err
    assert "look here" in captured.err


def test_units() -> None:
    """Durations, sizes and times carry their unit."""
    assert [show.lasting(x) for x in (0.42, 12.3, 12345)] == ["0.4 ms", "12 ms", "12.3 s"]
    assert [show.money(x) for x in (None, 0, 43, 2_500_000_000)] == ["", "$0.000000", "$0.000043", "$2,500.00"]
    assert [show.tokens(x) for x in (None, Usage(5, 3), Usage(5, 3, cached=2))] == ["", "5/3", "5 (2 cached)/3"]
    assert [show.size(x) for x in (10, 2048, 5 << 30)] == ["10 B", "2.0 KiB", "5.0 GiB"]
    assert show.when(1767225600000) == "2026-01-01 00:00:00Z"
    assert show.when(0) == ""
    assert show.plain((True, "x")) == "yes, x"


def test_working_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """No spinner in a log file."""
    with show.working("waiting"):
        pass
    assert capsys.readouterr().err == ""


def test_facts_leave_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what there is to say."""
    show.facts([("a", ""), ("bb", 0), ("c", None)])
    assert capsys.readouterr().out == "bb  0\n"
