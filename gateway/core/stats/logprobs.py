"""Does a model still give its next token the same probabilities? One prompt, one token, many samples.

A sample maps tokens to log-probabilities, as many as the provider tells. A token that a sample lacks has at most the probability of
the least likely one it has, so it gets that sample's minimum. The statistic is the mean, over all tokens of either window, of the
absolute difference of their mean log-probabilities.

Endpoints jitter, some much more than others, so the alarm is no p-value: a window has to stand out from this endpoint's own past by
twelve standard deviations, and by a difference that means something.

Source: Chauvin et al., "Log Probability Tracking", ICLR 2026, arXiv 2512.03816, and the rule its authors run in the wild.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, isfinite, sqrt

WINDOW = 24
"""Samples on each side."""
SIGMAS = 12.0
LEAST = 1.0
"""A difference below this is no alarm, however quiet the past was."""
PAST = 100
"""Statistics of the past that count."""
ENOUGH = 5
"""Statistics of the past that it takes to say anything."""

Sample = Mapping[str, float]


def statistic(reference: Sequence[Sample], now: Sequence[Sample]) -> float:
    """How far apart two windows are, in nats: 0 for equal ones.

    Raises ValueError for an empty window or sample, and for a log-probability that is no number.
    """
    windows = [_whole(reference), _whole(now)]
    tokens = sorted({token for window in windows for sample, _ in window for token in sample})
    before, after = ([_mean(window, token) for token in tokens] for window in windows)
    return fsum(abs(b - a) for b, a in zip(before, after, strict=True)) / len(tokens)


def threshold(past: Sequence[float], skip: int = 0) -> float | None:
    """What a statistic has to exceed, from those before it, oldest first; None while there are too few.

    `skip` leaves out the newest ones, which share samples with the window in question when windows slide: two windows' worth.
    """
    held = list(past[: len(past) - skip] if skip else past)[-PAST:]
    if len(held) < ENOUGH:
        return None
    mean = fsum(held) / len(held)
    spread = sqrt(fsum((value - mean) ** 2 for value in held) / (len(held) - 1))
    return max(mean + SIGMAS * spread, LEAST)


def alarmed(value: float, past: Sequence[float], skip: int = 0) -> bool:
    """Whether a window's statistic is an alarm. Never one before there is a past to judge it by."""
    limit = threshold(past, skip)
    return limit is not None and value > limit


def _whole(window: Sequence[Sample]) -> list[tuple[Sample, float]]:
    """Each sample with its minimum."""
    if not window or not all(window):
        raise ValueError("a window without samples, or a sample without tokens")
    if not all(isfinite(value) for sample in window for value in sample.values()):
        raise ValueError("a log-probability that is no finite number")
    return [(sample, min(sample.values())) for sample in window]


def _mean(window: list[tuple[Sample, float]], token: str) -> float:
    return fsum(sample.get(token, least) for sample, least in window) / len(window)
