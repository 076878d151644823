"""What the bench reports: ratios within a round, and goals that a missing number never meets."""

from __future__ import annotations

import pytest

from bench import report


def one(cpu: float, *, ok: int = 1) -> report.Round:
    """A round in which a contestant needed this much CPU at 2 KB."""
    return report.Round({"2k": {"ok": ok, "cpu_us": cpu, "errors": 0}}, {"p50": 100.0}, {"worker": 20.0, "tree": 50.0})


def test_ratio_is_taken_within_the_round() -> None:
    """A machine that slows down for a whole round does not change a ratio."""
    results = {"nginx": [one(10), one(100), one(10)], "trivet": [one(20), one(200), one(30)]}
    assert report.paired(results, "trivet", "nginx", report.cpu_2k) == pytest.approx(2.0)


def test_a_failed_load_is_no_number() -> None:
    """A round in which nothing was answered counts for no median."""
    results = {"nginx": [one(10), one(10)], "trivet": [one(1, ok=0), one(30)]}
    assert report.medians(results["trivet"], report.cpu_2k) == 30
    assert report.paired(results, "trivet", "nginx", report.cpu_2k) == pytest.approx(3.0)


def test_goals_say_met_not_met_and_not_measured() -> None:
    """A goal against a contestant that did not run is not measured, and so not met."""
    text = report.goals({"nginx": [one(10)], "trivet": [one(25)]})
    assert "| CPU at 2 KB, at most 3 times nginx | 2.50 | met |" in text
    assert "| CPU at 2 KB, aim: at most 2 times nginx | 2.50 | NOT met |" in text
    assert "| CPU at 2 KB, LiteLLM's at least 100 times ours | - | not measured |" in text


def test_goals_need_trivet() -> None:
    """A bench of the others alone says nothing about goals."""
    assert report.goals({"nginx": [one(10)]}) == ""


def test_inverse_goal_counts_the_other_over_ours() -> None:
    """LiteLLM's CPU over ours has to be large."""
    text = report.goals({"litellm": [one(5000)], "trivet": [one(25)]})
    assert "| CPU at 2 KB, LiteLLM's at least 100 times ours | 200.00 | met |" in text
