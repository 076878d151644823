"""Windows against their threshold, drawn in a terminal: a line each, with a bar that crosses a mark when it speaks of an alarm.

Rule of the file: a bar says how near to its threshold a value is, the same way for every test, and the value stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log, log10
from typing import TYPE_CHECKING

from gateway.cli import show

if TYPE_CHECKING:
    from gateway.core.contract.sentinel import DriftPoint, DriftTest

MARK = 24
"""Column of the threshold,"""
WIDTH = 36
"""and of the longest bar: half as much again."""
LEVELS = "▁▂▃▄▅▆▇"
OVER = "█"
"""In one character: only what crossed its threshold fills it."""

TITLES = {
    "mmd": "answers to the probes, p of each window",
    "logprob": "log-probabilities of the first token, statistic of each window",
    "traffic": "traffic between the windows, evidence that a share rose",
}
MARKS = {
    "mmd": "alarm when two in a row reach the mark at p {limit:g}",
    "logprob": "alarm at the mark, {limit:.3f}",
    "traffic": "a window begins at the mark, {limit:g}",
}


def near(test: str, value: float, limit: float | None) -> float:
    """How near to its threshold a value is: 0 far, 1 at it, above 1 beyond. 0 where there is no threshold."""
    if not limit:
        return 0.0
    if test == "mmd":
        return log(min(max(value, 1e-9), 1.0)) / log(limit)
    if test == "traffic":
        return log10(1 + max(value, 0.0)) / log10(1 + limit)
    return max(value, 0.0) / limit


def bar(share: float) -> str:
    """A bar with the mark in it, WIDTH characters."""
    full = min(round(share * MARK), WIDTH)
    if share < 1:
        full = min(full, MARK - 1)  # only what is over the threshold reaches the mark
    drawn = "━" * full + " " * (WIDTH - full)
    return drawn[:MARK] + ("┿" if full > MARK else "│") + drawn[MARK:]


def spark(tests: Iterable[DriftTest]) -> str:
    """The newest windows of each test in one character each, oldest first; traffic by its highest."""
    found = []
    for test in tests:
        shares = [near(test.test, point.value, test.limit) for point in test.points]
        if test.test == "traffic":
            shares = [max(shares)] if shares else []
        drawn = "".join(
            OVER if share >= 1 else LEVELS[min(int(share * len(LEVELS)), len(LEVELS) - 1)] for share in shares
        )
        if drawn:
            found.append(f"{'p' if test.test == 'mmd' else test.test} {drawn}")
    return ", ".join(found)


def plot(test: DriftTest) -> None:
    """Print one test: what it looks at, its reference and its threshold, then a line for each value."""
    show.line(f"{TITLES.get(test.test, test.test)}: {test.release}", "bold")
    since = f"reference of {show.when(test.reference_ms)}" if test.reference_ms else "no reference yet"
    mark = MARKS[test.test].format(limit=test.limit) if test.limit and test.points else ""
    show.line("  " + "; ".join(part for part in (since, mark, test.note) if part))
    width = max((len(point.name) for point in test.points), default=0)
    for line, over in lines(test.test, test.points, test.limit, width):
        show.line(line, "red" if over else "")


def lines(test: str, points: Sequence[DriftPoint], limit: float | None, width: int) -> Iterable[tuple[str, bool]]:
    """A line for each value, and whether it is over its threshold."""
    for point in points:
        share = near(test, point.value, limit)
        shown = (
            f"{point.value:.4f}"
            if test == "mmd"
            else f"{point.value:.3g}"
            if test == "traffic"
            else f"{point.value:.3f}"
        )
        yield f"  {point.name:<{width}}  {shown:>9}  {bar(share)}".rstrip(), share >= 1


__all__ = ["bar", "lines", "near", "plot", "spark"]
