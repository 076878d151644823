"""One suite's verdict: three outcomes, error rates that hold at the margin, and nothing unknown that helps a candidate."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from math import ceil
from statistics import NormalDist, fmean

import pytest
from msgspec.structs import replace

from gateway.core.contract.evidence import MetricReport, Score, Word
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.paired import compare
from tests.core.gate.evidences import declared, drawn, flips, suite

TASK, SAFETY, REGRESSION = SuiteKind.TASK, SuiteKind.SAFETY, SuiteKind.REGRESSION
Z = NormalDist().inv_cdf(0.95)


def compared(scores: Iterable[Score], kind: SuiteKind = TASK, repeats: int = 1, **more: object) -> MetricReport:
    """The report on one suite under a plain policy; `more` is said of the suite."""
    policy = declared(kind, **more)
    return compare(suite(tuple(scores), kind, repeats=repeats), policy.suites[0], policy)


@pytest.mark.parametrize(("kind", "margin", "items"), [(TASK, 0.05, 52), (SAFETY, 0.02, 133), (TASK, 0.01, 268)])
def test_the_smallest_suite_that_can_pass(kind: SuiteKind, margin: float, items: int) -> None:
    """Without any flip a suite passes from z²(1-m)/m items on, and one item less is INSUFFICIENT, never a pass of no width."""
    assert items == ceil(Z * Z * (1 - margin) / margin)
    assert compared(flips(items), kind, margin=margin).verdict is Word.GO
    assert compared(flips(items - 1), kind, margin=margin).verdict is Word.INSUFFICIENT


def test_three_outcomes() -> None:
    """Surely below the margin, surely above it, and in between; each says what it rests on."""
    good, bad, open_ = compared(flips(200, 2, 2)), compared(flips(200, 30, 2)), compared(flips(200, 12, 2))
    assert [each.verdict for each in (good, bad, open_)] == [Word.GO, Word.NO_GO, Word.INSUFFICIENT]
    assert (bad.only_incumbent, bad.only_candidate, bad.items) == (30, 2, 200)
    assert bad.drop == pytest.approx(0.14)
    assert good.drop_high < good.margin < bad.drop_high
    assert len(bad.flips) == 30
    assert all("5 pp are tolerated" in each.why for each in (good, bad, open_))
    assert {each.method for each in (good, bad, open_)} == {"tango"}


@pytest.mark.parametrize(
    ("items", "margin", "wins", "low", "high", "wald"),
    [
        (50, 0.02, 0.0, 0.0, 0.0, 0.365),
        (100, 0.02, 0.0, 0.0, 0.0, 0.131),
        (100, 0.05, 0.0, 0.0, 0.09, 0.118),
        (200, 0.05, 0.0, 0.0, 0.08, 0.124),
        (200, 0.05, 0.02, 0.01, 0.10, 0.064),
        (500, 0.05, 0.10, 0.01, 0.10, 0.051),
    ],
)
def test_false_go_at_the_margin(items: int, margin: float, wins: float, low: float, high: float, wald: float) -> None:
    """The table of rollout.md: where the true drop is the margin, a GO comes in about alpha of runs or fewer. A Wald
    interval's false GO is given beside, and simulated, so that the runs are known to be able to show one."""
    runs, dice = 300, random.Random(items + round(1000 * margin) + round(100 * wins))
    tango = naive = 0
    for _ in range(runs):
        b = c = 0
        for _ in range(items):
            throw = dice.random()
            b += throw < margin + wins
            c += margin + wins <= throw < margin + 2 * wins
        tango += compared(flips(items, b, c), margin=margin).verdict is Word.GO
        drop = (b - c) / items
        error = ((b + c) / items - drop * drop) ** 0.5 / items**0.5
        naive += drop + Z * error < margin
    assert low <= tango / runs <= high
    assert naive / runs == pytest.approx(wald, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "margin", "wins", "expected"),
    [(50, 0.02, 0.0, 0.0), (100, 0.05, 0.0, 0.037), (200, 0.05, 0.0, 0.027), (200, 0.05, 0.02, 0.049)],
)
def test_false_go_at_the_margin_in_full(items: int, margin: float, wins: float, expected: float) -> None:
    """The same table to half a point."""
    runs, dice = 8000, random.Random(1)
    go = 0
    for _ in range(runs):
        throws = [dice.random() for _ in range(items)]
        b = sum(throw < margin + wins for throw in throws)
        c = sum(margin + wins <= throw < margin + 2 * wins for throw in throws)
        go += compared(flips(items, b, c), margin=margin).verdict is Word.GO
    assert go / runs == pytest.approx(expected, abs=0.008)


@pytest.mark.parametrize("repeats", [1, 5])
def test_a_release_against_itself_never_fails(repeats: int) -> None:
    """With items that pass now and then, the same release twice is NO-GO in at most alpha of runs, and GO in some."""
    dice, runs = random.Random(repeats), 80
    rates = [(rate, rate) for rate in (dice.betavariate(8, 1) for _ in range(150))]
    words = [compared(drawn(dice, rates, repeats), repeats=repeats).verdict for _ in range(runs)]
    assert words.count(Word.NO_GO) <= 0.1 * runs
    assert Word.GO in words


def test_repeats_are_means_with_their_error() -> None:
    """Five repeats of 150 items: a candidate half as good fails, an equal one passes, by the t interval."""
    dice = random.Random(3)
    bad = compared(drawn(dice, [(0.45, 0.9)] * 150, 5), repeats=5)
    assert (bad.verdict, bad.method) == (Word.NO_GO, "clustered_t")
    assert (bad.only_incumbent, bad.only_candidate) == (0, 0), "graded: there are no yes and no to count"
    good = compared(drawn(dice, [(0.97, 0.95)] * 150, 5), repeats=5)
    assert good.verdict is Word.GO


def test_grades_and_small_suites() -> None:
    """Scores between 0 and 1 are means too; under a hundred items a bound that holds at any size says less."""
    graded = [Score(f"i{at}", (0.9,), (0.9 if at % 2 else 0.88,)) for at in range(200)]
    assert (compared(graded).verdict, compared(graded).method) == (Word.GO, "clustered_t")
    assert (compared(graded[:40]).verdict, compared(graded[:40]).method) == (Word.INSUFFICIENT, "betting")
    awful = [Score(f"i{at}", (0.1,), (0.9,)) for at in range(60)]
    assert compared(awful).verdict is Word.NO_GO


def test_items_of_one_source_are_no_flips() -> None:
    """Yes-or-no items that share a source are not independent: they take the clustered test."""
    grouped = [Score(s.item, s.candidate, s.incumbent, f"g{at // 2}") for at, s in enumerate(flips(200))]
    assert compared(grouped).method == "clustered_t"
    alone = [Score(s.item, s.candidate, s.incumbent, s.item) for s in flips(200)]
    assert compared(alone).method == "tango"


def test_silence_is_no_pass_and_no_failure() -> None:
    """Answers of the candidate without a score count as failed for a GO and not at all for a NO-GO; an item that the
    incumbent has no score for is left out."""
    silent = tuple(Score(f"x{at}", (), (1.0,)) for at in range(40))
    told = compared((*flips(160), *silent))
    assert (told.verdict, told.items, told.only_incumbent) == (Word.INSUFFICIENT, 200, 40)
    assert told.drop == 0.0
    assert told.candidate == pytest.approx(0.8)
    without = compared((*flips(160), *(Score(f"x{at}", (1.0,), ()) for at in range(40))))
    assert (without.items, without.verdict) == (160, Word.GO)
    assert compared(silent).verdict is Word.INSUFFICIENT
    partly = [Score(f"i{at}", (1.0,) * 3, (1.0,) * 5) for at in range(120)]
    assert compared(partly, repeats=5).verdict is not Word.GO


def test_a_ceiling_counts_sources_and_not_their_items() -> None:
    """Items of one source may all fail together: twenty sources without a failure show no more than twenty items would, however many
    items each has, and a candidate that fails a source in ten is let through in at most one run in twenty."""
    dice, passed = random.Random(5), 0

    def scores(failing: Collection[int], each: int = 10, sources: int = 20) -> tuple[Score, ...]:
        cells = [(source, at, float(source not in failing)) for source in range(sources) for at in range(each)]
        return tuple(Score(f"{source}-{at}", (one,), (1.0,), f"g{source}") for source, at, one in cells)

    clean = compared(scores(()), SAFETY, margin=0.9, ceiling=0.1)
    assert (clean.verdict, clean.ceiling_bound) == (Word.INSUFFICIENT, pytest.approx(1 - 0.05 ** (1 / 20)))
    assert compared(scores((), sources=30), SAFETY, margin=0.9, ceiling=0.1).verdict is Word.GO
    for _ in range(400):
        failing = {source for source in range(40) if dice.random() < 0.1}
        passed += compared(scores(failing, sources=40), SAFETY, margin=0.9, ceiling=0.1).verdict is Word.GO
    assert passed / 400 <= 0.05
    uneven = (*scores((0,), 50, 1), *(Score(f"i{at}", (1.0,), (1.0,)) for at in range(50)))
    assert compared(uneven, SAFETY, margin=0.9, ceiling=0.3).verdict is not Word.GO, "half of the items fail"


def test_a_ceiling_is_held_beside_the_margin() -> None:
    """No worse than the incumbent is not enough where the candidate fails more than the ceiling; both bounds are told."""
    equal = compared(flips(300, failed=30), SAFETY, ceiling=0.05)
    assert (equal.verdict, equal.ceiling) == (Word.NO_GO, 0.05)
    assert "surely above the ceiling of 5.0%" in equal.why
    clean = compared(flips(300), SAFETY, ceiling=0.01)
    assert (clean.verdict, clean.ceiling_bound) == (Word.GO, pytest.approx(0.00994, abs=1e-4))
    few = compared(flips(290), SAFETY, ceiling=0.01)
    assert few.verdict is Word.INSUFFICIENT, "three over the ceiling are needed"
    assert compared(flips(300, 60), SAFETY, ceiling=0.5).verdict is Word.NO_GO, "under the ceiling, over the margin"


def test_a_ceiling_over_repeats_is_of_the_mean() -> None:
    """An attack that works once in five counts a fifth, rounded outwards."""
    scores = [Score(f"i{at}", (0.0,) + (1.0,) * 4, (1.0,) * 5) for at in range(10)]
    steady = [Score(f"s{at}", (1.0,) * 5, (1.0,) * 5) for at in range(190)]
    report = compared((*scores, *steady), SAFETY, repeats=5, margin=0.04, ceiling=0.05)
    assert report.verdict is Word.GO
    assert report.ceiling_bound == pytest.approx(0.0312, abs=2e-3)


def regressed(good: int, count: int = 1, repeats: int = 5) -> list[Score]:
    """Sixty must-pass items of which so many pass `good` times only."""
    bad = [Score(f"b{at}", (1.0,) * good + (0.0,) * (repeats - good), (1.0,) * repeats) for at in range(count)]
    return bad + [Score(f"s{at}", (1.0,) * repeats, (1.0,) * repeats) for at in range(60 - count)]


def test_must_pass_items() -> None:
    """A broken item is NO-GO and named, one that passes three times is none, and an allowance lets it go."""
    found = compared(regressed(1), REGRESSION, repeats=5)
    assert (found.verdict, found.flips, found.method) == (Word.NO_GO, ("b0",), "confirmed_regressions")
    assert "b0" in found.why
    assert compared(regressed(3), REGRESSION, repeats=5).verdict is Word.GO
    assert compared(regressed(2), REGRESSION, repeats=5).verdict is Word.INSUFFICIENT, "chance of 8 percent"
    assert compared(regressed(2, 2), REGRESSION, repeats=5).verdict is Word.NO_GO
    grouped = [replace(each, group="g") if each.item.startswith("b") else each for each in regressed(2, 2)]
    assert compared(grouped, REGRESSION, repeats=5).verdict is Word.INSUFFICIENT, "two of one source are one"
    assert compared(regressed(0, repeats=3), REGRESSION, repeats=3).verdict is Word.INSUFFICIENT
    steady = [Score(f"s{at}", (1.0,) * 3, (1.0,) * 3) for at in range(60)]
    assert compared(steady, REGRESSION, repeats=3).verdict is Word.INSUFFICIENT, "three answers confirm nothing"


def test_must_pass_items_that_were_not_answered() -> None:
    """Answers without a score neither confirm a regression nor let one through."""
    silent = [Score("x", (), (1.0,) * 5), *regressed(5)]
    assert compared(silent, REGRESSION, repeats=5).verdict is Word.INSUFFICIENT


def test_the_numbers_of_a_report() -> None:
    """Shares are of items, and the drop is incumbent less candidate."""
    report = compared(flips(100, 5, 2, failed=3))
    assert report.incumbent == pytest.approx(0.95)
    assert report.candidate == pytest.approx(0.92)
    assert report.drop == pytest.approx(fmean([report.incumbent - report.candidate]))


def test_one_graded_answer_takes_the_test_of_means() -> None:
    """Tango's test is of yes and no alone: a single score in between takes the suite to the mean of differences."""
    scores = [*flips(120), Score("half", (0.5,), (1.0,))]
    assert compared(flips(120)).method == "tango"
    assert compared(scores).method == "clustered_t"


def test_the_drop_of_must_pass_items_is_their_mean() -> None:
    """What is shown of a regression suite is how much worse the candidate is over all its items."""
    assert compared(regressed(1), REGRESSION, repeats=5).drop == pytest.approx(0.8 / 60)
