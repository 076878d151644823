"""Why evidence does not count; `test_verdict.py` has every reason through the verdict."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.core.contract.alias import Stakes
from gateway.core.contract.evidence import Evidence, Origin, Score
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.policy import Policy
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


def test_a_few_answers_may_be_without_a_score() -> None:
    """Two in a hundred are, and not one more."""
    few = (*flips(98), *(Score(f"x{at}", (), ()) for at in range(2)))
    assert why(evidence(suite(few))) == []
    assert len(why(evidence(suite((*flips(98), Score("x", (), ()), Score("y", (), ()), Score("z", (), (1.0,))))))) == 1


def test_at_high_the_gateways_own_runs_count_and_imports_do_not() -> None:
    """The stakes say nothing against a run through the gateway, and at other stakes nothing against an import."""
    policy = declared(SuiteKind.TASK)
    wanted = Wanted(ALIAS, NEW, OLD, NOW)
    for stakes, origin, count in (
        (Stakes.HIGH, Origin.GATEWAY, 0),
        (Stakes.HIGH, Origin.IMPORTED, 1),
        (Stakes.STANDARD, Origin.IMPORTED, 0),
    ):
        made = evidence(suite(flips(100)), origin=origin)
        at_stakes = replace(policy, stakes=stakes)
        assert len(list(reasons(made, made.suites[0], policy.suites[0], at_stakes, wanted))) == count


def test_nothing_is_evidence_of_a_suite_that_cannot_be_read() -> None:
    """A host that has not the suite's bytes does not believe evidence that names none either."""
    policy = declared(SuiteKind.TASK)
    unread = replace(policy.suites[0], digest="")
    made = evidence(suite(flips(100), digest=""))
    found = list(reasons(made, made.suites[0], unread, policy, Wanted(ALIAS, NEW, OLD, NOW)))
    assert found == ["cannot be told to be of the suite declared, which this host cannot read"]


def test_another_engines_items_are_its_own() -> None:
    """Of an external suite nobody here knows the bytes: its name and version stand for it."""
    policy = declared(SuiteKind.TASK)
    external = replace(policy.suites[0], digest="", external=True)
    made = evidence(suite(flips(100)))
    assert list(reasons(made, made.suites[0], external, policy, Wanted(ALIAS, NEW, OLD, NOW))) == []


def test_another_judge_is_another_measure() -> None:
    """What a judge scored counts while it is the judge, asked in the same words, and its model has not changed since."""
    policy = replace(declared(SuiteKind.TASK), judge="rel_j", rubric="w")

    def said(judge: str = "rel_j", rubric: str = "w", *, under: Policy = policy, **more: object) -> list[str]:
        made = evidence(suite(flips(100), judge=judge, rubric=rubric), **more)
        wanted = Wanted(ALIAS, NEW, OLD, NOW, judge_epochs={"openai/j": 1})
        return list(reasons(made, made.suites[0], under.suites[0], under, wanted))

    seen = {"openai/j": 1}
    assert said(epochs=seen) == []
    assert said("rel_k", epochs=seen) == ["was judged by rel_k, and the judge is rel_j now"]
    assert said(under=declared(SuiteKind.TASK), epochs=seen) == ["was judged by rel_j, and the judge is nobody now"]
    assert said(rubric="v", epochs=seen) == ["was judged in other words than this version asks the judge in"]
    assert said(rubric="", origin=Origin.IMPORTED, epochs=seen) == []
    assert said() == ["was judged before openai/j, the judge, was seen to change"]
    assert said("", "") == []
    external = replace(policy, suites=(replace(policy.suites[0], external=True),))
    assert said("theirs", "", under=external) == []


def test_a_judge_of_the_same_model_drifts_once() -> None:
    """Where the judge's model is that of a release too, its drift is told once."""
    policy = replace(declared(SuiteKind.TASK), judge="rel_j", rubric="w")
    made = evidence(suite(flips(100), judge="rel_j", rubric="w"))
    wanted = Wanted(ALIAS, NEW, OLD, NOW, {"openai/m": 1}, {"openai/m": 1})
    found = list(reasons(made, made.suites[0], policy.suites[0], policy, wanted))
    assert found == ["was made before openai/m was seen to change"]


def test_reasons_are_told_together() -> None:
    """Everything that is wrong is said at once."""
    assert len(why(evidence(suite(flips(100), name="task@2"), candidate="rel_9", fallbacks=2))) == 3


def test_a_suite_has_a_name_and_a_version() -> None:
    """Another version is of the same suite."""
    assert name_of("builtin/task@2") == "builtin/task"
