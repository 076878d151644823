"""What a suite can show at all, told before anybody pays for its answers.

Rule of the file: a suite that could not pass whatever the candidate does is said to be one. Power is a forecast at an assumed
share of items that flip each way between two equally good releases, and is told with that share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, lgamma, log, sqrt
from statistics import NormalDist

from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.bounds import bounds_of_means, share_bounds, source_of
from gateway.core.gate.policy import Declared
from gateway.core.gate.regression import LEAST_REPEATS
from gateway.core.stats.tango import z_score

FLIPS = 0.03
"""Share of items that flip each way between two runs of equally good releases, assumed where nothing was observed."""
_WIDE = 8.0
"""Standard deviations of counts that are summed over."""


@dataclass(frozen=True, slots=True)
class Feasible:
    """What to expect of a suite of so many items."""

    suite: str
    items: int
    smallest: int
    """Items from which on it can pass: with fewer not even a candidate that does everything as the incumbent can."""
    possible: bool
    power: float | None
    """Chance that a candidate which is as good as the incumbent gets a GO; None where it cannot be forecast."""
    flips: float
    """The share of items that is assumed to flip each way."""
    say: str
    """The same in a sentence."""


def smallest(margin: float, alpha: float = 0.05) -> int:
    """Items from which on Tango's test can pass: z²(1-m)/m. Raises ValueError for a margin that is none."""
    if not 0 < margin < 1:
        raise ValueError("a margin lies between 0 and 1")
    z = NormalDist().inv_cdf(1 - alpha)
    return ceil(z * z * (1 - margin) / margin)


def smallest_under(ceiling: float, alpha: float = 0.05) -> int:
    """Items from which on no failure at all shows a share below the ceiling: about three over it. 1 for no real ceiling."""
    return 1 if ceiling >= 1 else ceil(log(alpha) / log(1 - ceiling)) if ceiling > 0 else 10**9


def power(items: int, margin: float, flips: float = FLIPS, alpha: float = 0.05) -> float:
    """Chance that yes-or-no items asked once pass, where the share `flips` of them flips each way; exact. 0 to 1."""
    z = NormalDist().inv_cdf(1 - alpha)
    if flips <= 0:
        return float(z_score(0, 0, items, margin) <= -z)
    flips = min(flips, 0.5)
    spread = _WIDE * sqrt(items * flips) + _WIDE
    low, high = max(0, int(items * flips - spread)), min(items, int(items * flips + spread))
    total = 0.0
    for b in range(low, high + 1):
        for c in range(low, min(high, items - b) + 1):
            if z_score(b, c, items, margin) <= -z:
                total += exp(_log_chance(b, c, items, flips))
    return min(total, 1.0)


def forecast(
    declared: Declared, items: int, alpha: float = 0.05, flips: float = FLIPS, *, groups: Sequence[str] = ()
) -> Feasible:
    """What a suite of `items` items can show under what is declared of it. `groups` names each item's source, empty for its
    own; items of one source count about as one."""
    if declared.kind is SuiteKind.REGRESSION:
        possible = declared.asked >= LEAST_REPEATS
        word = "" if possible else f"; {LEAST_REPEATS} repeats are needed, {declared.asked} are declared"
        say = f"{declared.suite}: {items} must-pass items, each a regression of its own{word}"
        return Feasible(declared.suite, items, 1, possible, None, flips, say)
    margin = declared.tolerated
    least = smallest(margin, alpha) if 0 < margin < 1 else 10**9
    drops = [(str(at), groups[at] if groups else "", 0.0) for at in range(items)]
    sources = Counter(source_of(item, group) for item, group, _ in drops)
    once = declared.asked == 1
    possible = items >= least and (
        (once and len(sources) == items) or bounds_of_means(drops, margin, alpha).high < margin
    )
    if declared.ceiling is not None:
        least = max(least, smallest_under(declared.ceiling, alpha))
        scale = len(sources) * max(sources.values(), default=1) / max(items, 1)
        possible = possible and share_bounds(0, len(sources), alpha).high * scale <= declared.ceiling
    chance = power(len(sources), margin, flips, alpha) if once and possible else None if possible else 0.0
    say = _say(declared, (items, len(sources)), (least, chance), flips)
    return Feasible(declared.suite, items, least, possible, chance, flips, say)


def _say(declared: Declared, counted: tuple[int, int], found: tuple[int, float | None], flips: float) -> str:
    (items, sources), (least, chance) = counted, found
    begin = f"{declared.suite}: {items} items for a margin of {declared.tolerated * 100:g} pp"
    if items < least:
        return (
            f"{begin}; it cannot pass below {least} items, whatever the candidate does: widen the margin or add items"
        )
    if chance == 0.0 and sources < items:
        return f"{begin}; they come from {sources} sources, and what shares a `group` counts as one: it cannot pass, add sources"
    if chance == 0.0:
        return f"{begin}; asked {declared.asked} times each it cannot pass: ask once, or add items"
    if chance is None:
        return f"{begin}, asked {declared.asked} times each"
    return f"{begin}; an equally good candidate passes in {chance:.0%} of runs if {flips:.0%} of items flip each way"


def _log_chance(b: int, c: int, items: int, flips: float) -> float:
    """Logarithm of the trinomial chance of b and c among the items, each with the share `flips`."""
    rest = items - b - c
    ways = lgamma(items + 1) - lgamma(b + 1) - lgamma(c + 1) - lgamma(rest + 1)
    left = 1 - 2 * flips
    if left <= 0:
        return ways + (b + c) * log(flips) if rest == 0 else float("-inf")
    return ways + (b + c) * log(flips) + rest * log(left)
