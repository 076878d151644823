"""Why evidence does not count; `test_verdict.py` has every reason through the verdict."""

from __future__ import annotations

from gateway.core.contract.evidence import Evidence, Score
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.stale import Wanted, name_of, reasons
from tests.core.gate.evidences import ALIAS, NEW, NOW, OLD, declared, evidence, flips, suite


def why(made: Evidence, **more: object) -> list[str]:
    """Reasons against the first suite under a plain policy."""
    policy = declared(SuiteKind.TASK)
    wanted = Wanted(ALIAS, NEW, OLD, NOW, **more)  # type: ignore[arg-type]
    return list(reasons(made, made.suites[0], policy.suites[0], policy, wanted))


def test_fresh_evidence_has_no_reason() -> None:
    """Of these releases, these items, young and whole."""
    assert why(evidence(suite(flips(100)))) == []


def test_age_counts_to_the_limit() -> None:
    """Two weeks to the millisecond count, one more does not."""
    limit = 14 * 86_400_000
    assert why(evidence(suite(flips(100)), ended_ms=NOW - limit)) == []
    assert len(why(evidence(suite(flips(100)), ended_ms=NOW - limit - 1))) == 1


def test_an_epoch_that_nobody_recorded_is_the_first() -> None:
    """Evidence without epochs counts while nothing drifted, and no longer once something did."""
    made = evidence(suite(flips(100)))
    assert why(made, epochs={"openai/m": 0}) == []
    assert why(made, epochs={"openai/m": 1}) == ["was made before openai/m was seen to change"]


def test_answers_that_are_not_there_count_as_unscored() -> None:
    """Scores that were left out count against the limit, whatever the record says of them."""
    scores = (*flips(94), *(Score(f"x{at}", (), (1.0,)) for at in range(6)))
    assert why(evidence(suite(scores))) == ["has 6 of 200 answers without a score, over the limit of 2.0%"]


def test_reasons_are_told_together() -> None:
    """Everything that is wrong is said at once."""
    assert len(why(evidence(suite(flips(100), name="task@2"), candidate="rel_9", fallbacks=2))) == 3


def test_a_suite_has_a_name_and_a_version() -> None:
    """Another version is of the same suite."""
    assert name_of("builtin/task@2") == "builtin/task"
