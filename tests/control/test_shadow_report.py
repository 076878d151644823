"""What a report says of lines whose truth is known: simulated shadows with fixed seeds."""

from __future__ import annotations

import random

import pytest

from gateway.control.shadow_report import DIFFERS, IS_WORSE, NO_DATA, NOISE, report
from gateway.core.contract.exchange import Observed, Usage
from gateway.core.contract.pair import Difference, Dimension, Line, PairClass, Side, Turn
from gateway.core.contract.shadowing import DimensionRow, ShadowReport

WORDED = Difference(Dimension.TEXT, "$.text", "a", "b", 0.25)
BROKEN = Difference(Dimension.INVALID_ARGUMENTS, "$.calls[0].f", "", "f(1)", 0.9, worse=True)
MENDED = Difference(Dimension.INVALID_ARGUMENTS, "$.calls[0].f", "f(1)", "", 0.9)


def side(release: str, *, total: float = 100.0, output: int = 20, cached: int = 0, cost: int | None = 5) -> Side:
    """A call that worked."""
    return Side(release, total_ms=total, observed=Observed(usage=Usage(100, output, cached)), cost=cost)


def line(number: int, found: list[Difference], noise: list[Difference] | None, turn: Turn = Turn.FIRST) -> Line:
    """A pair with these findings; a trio when `noise` is given."""
    return Line(
        pair=f"p{number}",
        tenant="t",
        run=f"r{number}",
        step=1,
        turn=turn,
        at_ms=1000 + number,
        primary=side("rel_1"),
        candidate=side("rel_2", total=90.0, output=30),
        pair_class=PairClass.REGRESSION if BROKEN in found else PairClass.DIVERGENT if found else PairClass.IDENTICAL,
        severity=max((d.severity for d in found), default=0.0),
        differences=tuple(found),
        secondary=side("rel_1", total=95.0) if noise is not None else None,
        noise=tuple(noise or ()),
    )


def shadow(seed: int, pairs: int, *, differs: float, breaks: float, own: float, share: float = 1.0) -> list[Line]:
    """Pairs whose candidate is worded otherwise and breaks calls at these rates; the live release differs from itself at `own`."""
    dice = random.Random(seed)
    made = []
    for number in range(pairs):
        found = [WORDED] * (dice.random() < differs) + [BROKEN] * (dice.random() < breaks)
        noise = [WORDED] * (dice.random() < own) if dice.random() < share else None
        made.append(line(number, found, noise))
    return made


def row(found: ShadowReport, dimension: Dimension) -> DimensionRow:
    """The row of a dimension in the only class of turns."""
    (turn,) = found.turns
    return next(each for each in turn.rows if each.dimension is dimension)


def test_noise_is_not_a_difference() -> None:
    """A candidate that is worded otherwise on half of all requests, as the live release itself is, is within noise."""
    found = report("a", "rel_2", shadow(1, 600, differs=0.5, breaks=0, own=0.5))
    told = row(found, Dimension.TEXT)
    assert (told.verdict, found.turns[0].verdict) == (NOISE, NOISE)
    assert 0.4 < told.raw < 0.6 and told.low < 0 < told.high
    assert abs(told.excess - (told.raw - told.noise)) < 1e-9


def test_what_is_worse_beyond_noise_is_found() -> None:
    """Calls broken on one request in ten stand out from wording that differs as often as ever, and come first."""
    found = report("a", "rel_2", shadow(2, 600, differs=0.5, breaks=0.1, own=0.5))
    assert found.turns[0].rows[0].dimension is Dimension.INVALID_ARGUMENTS
    told = row(found, Dimension.INVALID_ARGUMENTS)
    assert told.verdict == IS_WORSE and told.low > 0.05 and len(told.worst) == 5
    assert row(found, Dimension.TEXT).verdict == NOISE
    assert found.turns[0].verdict == DIFFERS
    assert found.turns[0].classes["regression"] == sum(
        BROKEN in each.differences for each in shadow(2, 600, differs=0.5, breaks=0.1, own=0.5)
    )


def test_little_data_calls_nothing() -> None:
    """Below fifty trios nothing is called, however different the pairs are."""
    found = report("a", "rel_2", shadow(3, 2000, differs=1, breaks=1, own=0, share=0.01))
    assert {each.verdict for turn in found.turns for each in turn.rows} == {NO_DATA}
    assert found.turns[0].verdict == NO_DATA


def test_better_is_not_worse() -> None:
    """A candidate that mends what the primary breaks is not called worse."""
    found = report("a", "rel_2", [line(n, [MENDED], []) for n in range(200)])
    assert row(found, Dimension.INVALID_ARGUMENTS).verdict == NOISE


def test_turns_stay_apart() -> None:
    """First turns, later turns and tool results have reports of their own; a class without pairs has none."""
    lines = [line(n, [WORDED], [], Turn.FIRST) for n in range(60)] + [
        line(100 + n, [], [], Turn.TOOL_RESULT) for n in range(60)
    ]
    first, last = report("a", "rel_2", lines).turns
    assert (first.turn, first.verdict, first.pairs) == (Turn.FIRST, DIFFERS, 60)
    assert (last.turn, last.verdict, last.rows) == (Turn.TOOL_RESULT, NOISE, ())


def test_measures_and_money() -> None:
    """Medians of tokens, times and cost; what candidate and secondary cost together; calls without a price are told."""
    found = report("a", "rel_2", [line(n, [], [] if n % 2 else None) for n in range(10)], {"skip:state": 3})
    told = {each.name: each for each in found.measures}
    assert (told["total"].primary, told["total"].candidate, told["total"].secondary) == (100.0, 90.0, 95.0)
    assert (told["output"].primary, told["output"].candidate) == (20.0, 30.0)
    assert (found.cost_micro_usd, found.unpriced, found.results) == (75, 0, {"skip:state": 3})
    assert (found.since_ms, found.until_ms, found.primary) == (1000, 1009, ("rel_1",))


def test_times_are_compared_at_equal_cache() -> None:
    """A call that found its prompt in the cache is not timed against one that did not."""
    warm = line(1, [], None)
    warm = type(warm)(**{f: getattr(warm, f) for f in warm.__struct_fields__} | {"primary": side("rel_1", cached=90)})
    assert "total" not in {each.name for each in report("a", "rel_2", [warm]).measures}


@pytest.mark.parametrize("seed", range(3))
def test_false_calls_are_rare(seed: int) -> None:
    """Of 60 shadows with equal releases at most a few are called in any dimension or as a whole: two budgets of 5 percent."""
    called = 0
    for number in range(60):
        found = report("a", "rel_2", shadow(1000 * seed + number, 300, differs=0.3, breaks=0, own=0.3))
        called += any(turn.verdict != NOISE or any(r.verdict != NOISE for r in turn.rows) for turn in found.turns)
    assert called <= 6


def test_nothing_yet() -> None:
    """A shadow without a pair has an empty report."""
    found = report("a", "rel_2", [])
    assert (found.pairs, found.turns, found.measures) == (0, (), ())
