"""A verdict as people read it."""

from __future__ import annotations

import pytest

from gateway.cli.gate_shown import EXITS, report
from gateway.core.contract.evidence import GateReport, MetricReport, Word
from gateway.core.contract.suite import SuiteKind


def test_a_report_says_the_word_last(capsys: pytest.CaptureFixture[str]) -> None:
    """A row a suite, the first items that flipped, why, and the word; every word has its exit code."""
    flips = tuple(f"i{n}" for n in range(12))
    metric = MetricReport(
        "s@1", SuiteKind.TASK, Word.NO_GO, "too bad", 50, 0.5, 0.74, 0, 12, 0.24, 0.3, 0.05, "tango", flips=flips
    )
    report(GateReport("a", "c", "i", Word.NO_GO, (metric,), ("e",), (), ("s@2: old",), None, ("s@1 is NO-GO",)))
    told = capsys.readouterr()
    assert "i9 and 2 more" in told.out and told.out.rstrip().endswith("NO-GO")
    assert "s@2: old" in told.err and "s@1 is NO-GO" in told.err
    assert {EXITS[word.value] for word in Word} == {0, 1, 2}
