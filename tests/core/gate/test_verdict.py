"""The gate's word: nothing is green by absence, nothing that got worse is, and only evidence of these two releases counts."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.alias import Stakes
from gateway.core.contract.evidence import Evidence, Origin, Word, evidence_digest
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.policy import Tier
from tests.core.gate.evidences import NEW, NOW, OLD, declared, drawn, evidence, flips, judged, suite

TASK, SAFETY, REGRESSION = SuiteKind.TASK, SuiteKind.SAFETY, SuiteKind.REGRESSION


def test_go_needs_every_suite() -> None:
    """Both suites pass: GO, with the digest of the evidence it rests on and nothing in the way."""
    made = evidence(suite(flips(200, 1, 2)), suite(flips(200), SAFETY))
    report = judged(declared(TASK, SAFETY), made)
    assert (report.verdict, report.evidence, report.why) == (Word.GO, (evidence_digest(made),), ())
    assert report.origin is Origin.GATEWAY
    assert [each.verdict for each in report.metrics] == [Word.GO, Word.GO]


def test_a_better_task_does_not_pay_for_worse_safety() -> None:
    """3 points better at the task and 20 points worse at safety is NO-GO: suites are never averaged."""
    made = evidence(suite(flips(200, 1, 7)), suite(flips(150, 30), SAFETY))
    report = judged(declared(TASK, SAFETY), made)
    assert report.verdict is Word.NO_GO
    assert [each.verdict for each in report.metrics] == [Word.GO, Word.NO_GO]
    assert report.why[0].startswith("safety@1 is NO-GO")


def test_what_failed_is_told_before_what_cannot_tell() -> None:
    """Whoever reads one reason reads the one that aborts."""
    made = evidence(suite(flips(20)), suite(flips(150, 30), SAFETY))
    report = judged(declared(TASK, SAFETY, REGRESSION), made)
    assert [why.split(" ")[0:3] for why in report.why[:2]] == [
        ["safety@1", "is", "NO-GO:"],
        ["task@1", "is", "INSUFFICIENT:"],
    ]
    assert report.why[2] == "regression@1: there is no evidence"


def test_nothing_declared_or_nothing_found_is_not_green() -> None:
    """Without suites, without evidence, with evidence of one suite of two: INSUFFICIENT, never GO and never NO-GO."""
    bare = judged(declared(), evidence(suite(flips(200))))
    assert (bare.verdict, bare.why) == (Word.INSUFFICIENT, ("no suite is declared",))
    none = judged(declared(TASK))
    assert (none.verdict, none.missing, none.origin) == (Word.INSUFFICIENT, ("task@1",), None)
    half = judged(declared(TASK, SAFETY), evidence(suite(flips(200))))
    assert (half.verdict, half.missing) == (Word.INSUFFICIENT, ("safety@1",))
    assert half.why == ("safety@1: there is no evidence",)


def test_no_go_is_told_although_another_suite_is_missing() -> None:
    """What failed stays failed while something else is not known."""
    assert judged(declared(TASK, SAFETY), evidence(suite(flips(200, 60)))).verdict is Word.NO_GO


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"candidate": "rel_3"}, "another candidate, rel_3"),
        ({"incumbent": "rel_0"}, "another incumbent, rel_0"),
        ({"ended_ms": NOW - 15 * 86_400_000}, "is 15 days old and counts for 14"),
        ({"fallbacks": 1}, "1 answers by another model"),
        ({"epochs": {"openai/m": 1}}, "was made before openai/m was seen to change"),
    ],
)
def test_stale_evidence_is_no_evidence(change: dict[str, object], word: str) -> None:
    """Evidence of another triple, too old, with fallbacks or of another drift epoch: INSUFFICIENT, and it says why."""
    report = judged(declared(TASK), evidence(suite(flips(200)), **change), epochs={"openai/m": 0})
    assert (report.verdict, report.metrics, report.missing, report.evidence) == (Word.INSUFFICIENT, (), (), ())
    assert word in report.stale[0]
    assert report.why == report.stale


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"digest": "e" * 64}, "digest has changed"),
        ({"name": "task@2"}, "is of task@2"),
        ({"kind": REGRESSION, "name": "task@1"}, "of kind regression, not task"),
        ({"unscored": 9}, "9 of 400 answers without a score"),
        ({"scores": ()}, "has no scores"),
    ],
)
def test_stale_suites_are_no_evidence(change: dict[str, object], word: str) -> None:
    """Other items, another version or kind, too many answers without a score: the suite does not count."""
    members = {"scores": flips(200), **change}
    report = judged(declared(TASK), evidence(suite(**members)))  # type: ignore[arg-type]
    assert (report.verdict, report.metrics) == (Word.INSUFFICIENT, ())
    assert word in report.stale[0]


def test_fewer_repeats_than_declared_say_too_little() -> None:
    """A suite that is to be asked three times does not count when it was asked once."""
    report = judged(declared(TASK, repeats=3), evidence(suite(flips(200))))
    assert "asked each item 1 times, and 3 are wanted" in report.stale[0]


def test_imported_evidence_is_labelled_and_never_enough_at_high() -> None:
    """An import counts at standard and is named so; at stakes high it is stale."""
    made = evidence(suite(flips(200)), origin=Origin.IMPORTED)
    usual = declared(TASK)
    assert (judged(usual, made).verdict, judged(usual, made).origin) == (Word.GO, Origin.IMPORTED)
    grave = msgspec.structs.replace(usual, stakes=Stakes.HIGH)
    assert judged(grave, made).verdict is Word.INSUFFICIENT
    assert "imported" in judged(grave, made).stale[0]


def test_the_newest_fresh_evidence_counts_alone() -> None:
    """A newer red run replaces an older green one; a newer stale one does not hide it."""
    green = evidence(suite(flips(200)), ended_ms=NOW - 2000)
    red = evidence(suite(flips(200, 60)), ended_ms=NOW - 1000)
    stale = evidence(suite(flips(200, 60)), ended_ms=NOW, fallbacks=3)
    assert judged(declared(TASK), green, red).verdict is Word.NO_GO
    assert judged(declared(TASK), red, green).verdict is Word.NO_GO
    assert judged(declared(TASK), green, stale).verdict is Word.GO


def test_an_import_never_changes_what_a_run_said() -> None:
    """A newer import does not stand in place of a fresh run through the gateway, whichever way it came out; of a stale one it
    does."""
    red = evidence(suite(flips(200, 60)), ended_ms=NOW - 9)
    brought = evidence(suite(flips(200)), ended_ms=NOW, origin=Origin.IMPORTED)
    assert judged(declared(TASK), red, brought).verdict is Word.NO_GO
    stale = msgspec.structs.replace(red, fallbacks=1)
    assert judged(declared(TASK), stale, brought).origin is Origin.IMPORTED


def test_the_nearest_evidence_is_told_of() -> None:
    """Of several that do not count, one of these two releases is told before a newer one of others."""
    own = evidence(suite(flips(200)), ended_ms=NOW - 9, fallbacks=2)
    other = evidence(suite(flips(200)), candidate="rel_9", ended_ms=NOW)
    assert "2 answers by another model" in judged(declared(TASK), own, other).stale[0]
    assert "another candidate" in judged(declared(TASK), other).stale[0]


def test_an_advisory_suite_never_blocks() -> None:
    """It is measured and told, missing or failed, and the verdict is that of the others."""
    policy = declared(TASK, SAFETY)
    advisory = msgspec.structs.replace(policy.suites[1], tier=Tier.ADVISORY)
    policy = msgspec.structs.replace(policy, suites=(policy.suites[0], advisory))
    failed = judged(policy, evidence(suite(flips(200)), suite(flips(200, 60), SAFETY)))
    assert (failed.verdict, failed.why) == (Word.GO, ())
    assert failed.metrics[1].verdict is Word.NO_GO
    assert judged(policy, evidence(suite(flips(200)))).verdict is Word.GO


def test_of_another_alias_is_not_even_stale() -> None:
    """Evidence of another alias is not looked at."""
    report = judged(declared(TASK), evidence(suite(flips(200)), alias="other"))
    assert (report.missing, report.stale) == (("task@1",), ())


@given(st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=15)
def test_order_of_items_and_records_changes_nothing(seed: int, repeats: int) -> None:
    """Items shuffled, suites shuffled, records shuffled: the same report, to the last digit."""
    dice = random.Random(seed)
    scores = drawn(dice, [(0.8, 0.85)] * 120, repeats)
    policy = declared(TASK, SAFETY, repeats=repeats)
    records = [
        evidence(suite(scores, repeats=repeats), suite(scores, SAFETY, repeats=repeats)),
        evidence(suite(scores[:60], repeats=repeats), ended_ms=NOW - 5),
    ]
    shuffled = [_shuffled(dice, each) for each in records]
    one, other = judged(policy, *records), judged(policy, *reversed(shuffled))
    assert msgspec.structs.replace(one, evidence=()) == msgspec.structs.replace(other, evidence=())


def _shuffled(dice: random.Random, made: Evidence) -> Evidence:
    suites = [msgspec.structs.replace(s, scores=tuple(dice.sample(s.scores, len(s.scores)))) for s in made.suites]
    return msgspec.structs.replace(made, suites=tuple(reversed(suites)))


def test_incumbent_against_itself() -> None:
    """One release against itself, with noise, on every kind at once: never green by force, NO-GO in at most alpha of runs."""
    dice, bad, runs = random.Random(11), 0, 60
    rates = [(p, p) for p in (dice.betavariate(6, 1) for _ in range(120))]
    for _ in range(runs):
        made = evidence(
            suite(drawn(dice, rates)),
            suite(drawn(dice, rates), SAFETY),
            suite(drawn(dice, rates, 5), REGRESSION, repeats=5),
        )
        bad += judged(declared(TASK, SAFETY, REGRESSION), made).verdict is Word.NO_GO
    assert bad <= 0.1 * runs


def test_the_words_of_both_sides() -> None:
    """The report names both releases as asked."""
    report = judged(declared(TASK))
    assert (report.candidate, report.incumbent) == (NEW, OLD)
