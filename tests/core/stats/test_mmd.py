"""The two-sample test on text: what it is, how often it is wrong, and what it finds, with fixed seeds."""

from __future__ import annotations

import random
import time
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stats.mmd import LEVEL, alarmed, compare, kernel

TEXT = st.text("abc", max_size=6)
Window = dict[str, list[str]]


def answers(dice: random.Random, prompts: int, samples: int, heat: float = 0.3, size: int = 50) -> Window:
    """What a model says: of each prompt one line, in which a share of the characters is drawn anew, as a sampler would."""
    lines = [random.Random(f"line {n}").choices("abcdefghijklmnopqrstuvwxyz ", k=size) for n in range(prompts)]
    return {
        f"prompt {n}": [
            "".join(dice.choice("abcdefgh ") if dice.random() < heat else letter for letter in line)[
                : dice.randint(size // 2, size)
            ]
            for _ in range(samples)
        ]
        for n, line in enumerate(lines)
    }


@given(one=TEXT, other=TEXT)
def test_the_kernel_is_a_likeness(one: str, other: str) -> None:
    """1 for a text and itself, the same both ways, and never outside of 0 to 1."""
    assert kernel(one, one) == pytest.approx(1 if one else 0)
    assert 0 <= kernel(one, other) == kernel(other, one) <= 1 + 1e-12


@settings(max_examples=40, deadline=None)
@given(
    reference=st.lists(TEXT, min_size=2, max_size=4),
    now=st.lists(TEXT, min_size=2, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_the_statistic_is_the_formula_written_out(reference: list[str], now: list[str], seed: int) -> None:
    """Mean kernel within each window less twice the mean between them, and p counts permutations at least as far apart."""
    one, two = [text + "\0" for text in reference], [text + "\0" for text in now]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    expected = (
        mean([kernel(a, b) for a, b in combinations(one, 2)])
        + mean([kernel(a, b) for a, b in combinations(two, 2)])
        - 2 * mean([kernel(a, b) for a in one for b in two])
    )
    found = compare({"p": reference}, {"p": now}, seed, permutations=50)
    assert found.statistic == pytest.approx(expected, abs=1e-9)
    assert 1 / 51 <= found.p <= 1
    assert found == compare({"p": reference}, {"p": now}, seed, permutations=50)


def test_edges() -> None:
    """Equal constants are no difference, other ones the greatest; a prompt with one answer says nothing; none at all is an error."""
    same = compare({"p": ["yes"] * 10}, {"p": ["yes"] * 10}, 1)
    assert (same.statistic, same.p) == (pytest.approx(0), 1)
    other = compare({"p": ["yes"] * 10}, {"p": ["oui!"] * 10}, 1)
    assert other.p == pytest.approx(1 / 1001)
    assert other.statistic > 1
    assert compare({"p": ["a", "b"], "q": ["c"]}, {"p": ["a", "b"], "q": ["c", "d"]}, 1, 10).prompts == 1
    with pytest.raises(ValueError, match="no prompt"):
        compare({"p": ["a", "b"]}, {"q": ["a", "b"]}, 1)


def test_prompts_that_differ_are_no_difference_of_windows() -> None:
    """Labels are permuted within a prompt: windows with more answers of one prompt than of another are not told apart by that."""
    reference = {"short": ["yes"] * 9 + ["no"], "long": ["a b c d e f g"] * 2}
    now = {"short": ["yes", "yes"], "long": ["a b c d e f g"] * 10}
    assert compare(reference, now, 1).p > 0.1


def test_only_the_beginning_counts() -> None:
    """What stands after the characters that are compared decides nothing."""
    assert compare({"p": ["a" * 9 + "b"] * 5}, {"p": ["a" * 9 + "c"] * 5}, 1, 100, characters=9).p == 1


def test_an_alarm_takes_windows_in_a_row() -> None:
    """One window below the level is no alarm, nor two with another in between."""
    assert not alarmed([0.5, 0.001])
    assert not alarmed([0.001, 0.5, 0.001])
    assert alarmed([0.5, 0.001, 0.002])


def test_a_real_window_takes_little_time() -> None:
    """Twenty prompts with ten answers of 200 characters on each side and 1,000 permutations take well under three seconds."""
    dice = random.Random(1)
    windows = [answers(dice, 20, 10, size=200) for _ in range(2)]
    begun = time.perf_counter()
    compare(windows[0], windows[1], 1)
    assert time.perf_counter() - begun < 3


@pytest.mark.parametrize(
    ("times", "least", "most"),
    [(60, 0.05, 0.35), pytest.param(2000, 0.17, 0.23, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_the_same_model_gives_p_as_it_should(times: int, least: float, most: float) -> None:
    """For the same model a p at or below 0.2 comes in about 20 percent of windows: neither more nor so few that power is lost."""
    dice = random.Random("same")
    called = sum(compare(answers(dice, 5, 6), answers(dice, 5, 6), n, permutations=99).p <= 0.2 for n in range(times))
    assert least <= called / times <= most, called


@pytest.mark.parametrize(
    ("times", "most"), [(20, 0), pytest.param(1500, 3, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_the_same_model_is_not_flagged(times: int, most: int) -> None:
    """Two windows in a row against one reference: an alarm is far rarer than the level, although they share the reference."""
    dice = random.Random("flagged")
    alarms = 0
    for n in range(times):
        reference = answers(dice, 5, 8)
        ps = [compare(reference, answers(dice, 5, 8), 2 * n + k, permutations=199).p for k in range(2)]
        alarms += alarmed(ps)
    assert alarms <= most


@pytest.mark.parametrize(
    ("times", "least"), [(5, 5), pytest.param(200, 195, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_another_model_is_found(times: int, least: int) -> None:
    """A model that says the same lines more at random is found by two windows of 20 prompts with ten answers each."""
    dice = random.Random("found")
    found = 0
    for n in range(times):
        reference = answers(dice, 20, 10, heat=0.3)
        ps = [compare(reference, answers(dice, 20, 10, heat=0.5), 2 * n + k, permutations=199).p for k in range(2)]
        found += alarmed(ps)
    assert found >= least
    assert LEVEL == 0.01
