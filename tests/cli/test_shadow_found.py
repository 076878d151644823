"""`trivet shadow report|pairs|show`, on a store with a shadow's past."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gateway.cli.shadow_found import marked, people
from gateway.control.shadow_report import report
from gateway.core.contract.shadowing import ShadowReport
from tests.cli.past import Past, Said, stored
from tests.control.test_shadow_report import shadow


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One store for the file."""
    with stored(tmp_path_factory.mktemp("past")) as made:
        yield made


def test_report_as_tables_and_as_a_record(past: Past, capsys: Said) -> None:
    """People get tables per class of turns, programs the whole record; too few trios are said to be too few."""
    past.type("shadow", "report", "support")
    told = capsys.readouterr().out
    assert "first turns: 3 pairs" in told and "not enough A/A data" in told and "numbers" in told
    past.type("shadow", "report", "support", "--candidate", past.candidate, "--json")
    record = json.loads(capsys.readouterr().out)
    assert record["pairs"] == 3 and record["results"]["pair:regression"] == 1
    past.type("shadow", "report", "nobody", status=1)


def test_a_report_with_evidence(capsys: Said) -> None:
    """Rates, excess with its interval, e-value, verdict and worst pairs stand in a row."""
    found: ShadowReport = report("support", "rel_2", shadow(2, 300, differs=0.5, breaks=0.2, own=0.5))
    people(found)
    told = capsys.readouterr().out
    (row,) = [line for line in told.splitlines() if "invalid_arguments" in line]
    assert "worse beyond noise" in row and "%" in row and " to +" in row
    assert "cost of the shadow" in told and "total" in told


def test_pairs_gravest_first(past: Past, capsys: Said) -> None:
    """The gravest pair comes first, with what is different and where."""
    past.type("shadow", "pairs", "support", "--limit", "1")
    told = capsys.readouterr().out
    assert f"req_2.{past.candidate}" in told and "numbers $.text" in told and "req_1." not in told
    past.type("shadow", "pairs", "support", "--limit", "0", status=2)


def test_show_marks_what_differs(past: Past, capsys: Said) -> None:
    """Both answers stand side by side under their releases; a pair nobody knows is refused."""
    past.type("shadow", "show", f"req_1.{past.candidate}")
    told = capsys.readouterr().out
    assert "40." in told and "41." in told and "What does it cost?" in told
    past.type("shadow", "show", "req_9.rel_0", status=1)
    left, right = marked("It costs 40. [red]", "It costs 41. [red]")
    assert left.plain.split() == ["It", "costs", "40.", "[red]"]
    assert [left.plain[span.start : span.end] for span in left.spans if "strike" in str(span.style)] == ["40."]
    assert [right.plain[span.start : span.end] for span in right.spans if "underline" in str(span.style)] == ["41."]
