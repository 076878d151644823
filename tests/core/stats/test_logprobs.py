"""Tracking the log-probabilities of one token: what the statistic is, and when it is an alarm."""

from __future__ import annotations

import random
from math import log

import pytest

from gateway.core.stats.logprobs import LEAST, WINDOW, alarmed, statistic, threshold


def window(dice: random.Random, shift: float = 0.0, jitter: float = 0.02) -> list[dict[str, float]]:
    """What a provider tells of 24 calls: the five likeliest of eight tokens, with the jitter of its hardware."""
    found = []
    for _ in range(WINDOW):
        weights = {f"t{n}": 2.0**-n * (1 + dice.gauss(0, jitter)) for n in range(8)}
        weights["t1"] *= 2.0**shift
        whole = sum(weights.values())
        logs = sorted(((log(w / whole), token) for token, w in weights.items()), reverse=True)
        found.append({token: value for value, token in logs[:5]})
    return found


def test_the_statistic_is_the_formula_written_out() -> None:
    """Mean over tokens of the absolute difference of means, a missing token having its sample's minimum."""
    reference = [{"a": -1.0, "b": -2.0}, {"a": -1.0, "c": -3.0}]
    now = [{"a": -2.0, "b": -2.0}, {"a": -2.0, "b": -4.0}]
    # Means before: a -1, b (-2 - 3)/2, c (-2 - 3)/2; now: a -2, b -3, c (-2 - 4)/2.
    assert statistic(reference, now) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert statistic(reference, reference) == 0


@pytest.mark.parametrize("wrong", [[], [{}], [{"a": float("-inf")}], [{"a": float("nan")}]])
def test_what_is_no_window_is_refused(wrong: list[dict[str, float]]) -> None:
    """An empty window or sample, or a log-probability that is no number, is an error and never a verdict."""
    with pytest.raises(ValueError, match=r"window|finite"):
        statistic([{"a": -1.0}], wrong)


def test_an_alarm_stands_out_from_the_past_and_means_something() -> None:
    """Twelve standard deviations above the past, and above one nat; without enough past never."""
    past = [0.1, 0.12, 0.08, 0.11, 0.09]
    assert threshold(past) == LEAST
    assert alarmed(1.1, past)
    assert not alarmed(0.9, past)
    assert not alarmed(9.0, past[:4])
    loud = [1.0, 2.0, 1.5, 1.2, 1.8]
    assert not alarmed(5.0, loud)
    assert alarmed(8.0, loud)


def test_windows_that_slide_leave_out_what_they_share() -> None:
    """The newest statistics share samples with the window in question, so they do not raise its threshold."""
    past = [0.1, 0.1, 0.1, 0.1, 0.1, 5.0, 5.0]
    assert not alarmed(3.0, past)
    assert alarmed(3.0, past, skip=2)


def test_only_the_last_hundred_count() -> None:
    """An endpoint that was loud long ago is judged by how it is now."""
    assert threshold([50.0, 0.0] * 50 + [0.1] * 100) == LEAST


def test_the_same_model_is_not_flagged_and_a_changed_one_is() -> None:
    """Over 300 windows of a jittery endpoint there is no alarm; the first window after a changed one is one."""
    dice = random.Random("logprobs")
    reference = window(dice)
    past: list[float] = []
    for _ in range(300):
        value = statistic(reference, window(dice))
        assert not alarmed(value, past)
        past.append(value)
    assert alarmed(statistic(reference, window(dice, shift=6)), past)
