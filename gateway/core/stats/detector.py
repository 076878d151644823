"""Has a rate risen since we know it? Looked at after every unit, for ever, with no horizon and no reset.

For one moment j, a bet that the rate is p1 instead of at most p0 multiplies its money with p1/p0 at each bad unit from j on and with
(1 - p1)/(1 - p0) at each good one: under the reference its expectation never grows. Nobody knows when a change begins, so a new
bet of 1 is begun at every unit and the sum of all of them is what counts:

    M = (M + 1) times the factor of the unit

After n units under the reference the sum is n at most in expectation, so the first time it reaches 1/alpha comes after 1/alpha units
on average or later, whatever the rate below p0 did meanwhile. The mean over several p1 keeps that.

Source: Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2024, arXiv 2203.03532 (the Shiryaev-Roberts kind, mixed over fixed alternatives).
What it needs: that a unit counts once, and is bad with probability at most p0 given all before it. Another mix of inputs breaks
that as a changed model does, so its alarm asks for a closer look and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.stats.beta import incomplete_beta, rising_root

ALPHA = 1e-4
"""One false alarm in ten thousand units on average, or fewer."""
WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Multiples of the odds at the tolerated rate that the bet is spread over."""
SURE = 0.99
"""How sure the reference is that its rate is not above the tolerated one."""
_MOST = 1e200
"""Money is kept below; it says no more above."""

BEGIN = (0.0,) * len(WORSE)
"""The sums of a detector that has seen nothing."""


def tolerated(bad: int, units: int) -> float:
    """The rate that a reference of so many units rules out to be exceeded, at confidence SURE: exact, by the binomial tail.

    Raises ValueError for counts that are none.
    """
    if not 0 <= bad <= units or units < 1:
        raise ValueError("bad units of a reference are between none and all of at least one")
    if bad == units:
        return 1.0
    return rising_root(lambda rate: incomplete_beta(rate, bad + 1, units - bad), SURE, 0.0, 1.0)


def seen(sums: Sequence[float], rate: float, *, bad: bool, units: int = 1) -> tuple[float, ...]:
    """The sums after so many more units, all bad or all good, against a tolerated rate above 0 and below 1."""
    if not 0 < rate < 1:
        raise ValueError("a tolerated rate is above 0 and below 1")
    found = []
    for held, times in zip(sums, WORSE, strict=True):
        odds = times * rate / (1 - rate)
        other = odds / (1 + odds)
        factor = other / rate if bad else (1 - other) / (1 - rate)
        found.append(_carried(held, factor, units))
    return tuple(found)


def value(sums: Sequence[float]) -> float:
    """The evidence of a change: compare with 1/alpha."""
    return sum(sums) / len(sums)


def alarmed(sums: Sequence[float], alpha: float = ALPHA) -> bool:
    """Whether the rate has risen, at an average of 1/alpha units or more to a false alarm."""
    return value(sums) >= 1 / alpha


def _carried(held: float, factor: float, units: int) -> float:
    """`units` times M = (M + 1) factor. Good units have a factor below 1 and are summed at once; bad ones are few."""
    if factor < 1:
        power = factor**units
        return held * power + factor * (1 - power) / (1 - factor)
    for _ in range(units):
        held = min((held + 1) * factor, _MOST)
        if held == _MOST:
            break
    return held
