"""From the lines of a shadow to a report: what differs beyond the noise of the live release itself.

Rule of the file: pure. A rate without its own noise is no finding, so nothing is called different on fewer trios than MIN_TRIOS,
and what is called is held to one error budget per class of turns: the answers as a whole are one test, and the dimensions share
a second one of the same size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from gateway.core.contract.pair import Difference, Dimension, Line, Side, Turn
from gateway.core.contract.shadowing import DimensionRow, Measure, ShadowReport, TurnReport
from gateway.core.diff.severity import WORSE
from gateway.core.stats.signs import differs, e_value
from gateway.core.stats.tango import interval

MIN_TRIOS = 50
"""Below this a report says `not enough A/A data` (rollout.md, "Shadow test")."""
ALPHA = 0.05
"""False calls per class of turns, over all looks: once for the answers as a whole, once for all dimensions together."""
EXAMPLES = 5
CACHED_APART = 0.1
"""Two calls are timed against each other when their shares of cached input tokens are this near."""

NO_DATA, NOISE, DIFFERS, IS_WORSE = (
    "not enough A/A data",
    "within noise",
    "differs beyond noise",
    "worse beyond noise",
)


def report(alias: str, candidate: str, lines: Sequence[Line], results: Mapping[str, int] | None = None) -> ShadowReport:
    """The report of one candidate over its lines, in any order. `results` are the counts of how its jobs ended."""
    by_turn = {turn: [line for line in lines if line.turn is turn] for turn in Turn}
    sides = [side for line in lines for side in (line.candidate, line.secondary) if side is not None]
    return ShadowReport(
        alias=alias,
        candidate=candidate,
        primary=tuple(sorted({line.primary.release for line in lines})),
        pairs=len(lines),
        trios=sum(line.secondary is not None for line in lines),
        since_ms=min((line.at_ms for line in lines), default=0),
        until_ms=max((line.at_ms for line in lines), default=0),
        turns=tuple(_turn(turn, found) for turn, found in by_turn.items() if found),
        measures=tuple(_measures(lines)),
        results=dict(results or {}),
        cost_micro_usd=sum(side.cost for side in sides if side.cost is not None),
        unpriced=sum(side.cost is None for side in sides),
    )


def dissimilarity(severity: float, similarity: float) -> float:
    """How far an answer is from the primary's: any measure is valid for the sign test; this one ranks by what an agent would do
    otherwise, and among equals by the words."""
    return severity + (1 - similarity) / 10


def _turn(turn: Turn, lines: Sequence[Line]) -> TurnReport:
    trios = [line for line in lines if line.secondary is not None]
    farther = nearer = 0
    for line in trios:
        apart = dissimilarity(line.severity, line.similarity)
        noise = dissimilarity(_gravest(line.noise), line.noise_similarity)
        farther += apart > noise
        nearer += apart < noise
    found = {each.dimension for line in lines for each in (*line.differences, *line.noise)}
    rows = [_row(dimension, lines, trios, len(found)) for dimension in found]
    return TurnReport(
        turn=turn,
        pairs=len(lines),
        trios=len(trios),
        classes=dict(Counter(line.pair_class.value for line in lines)),
        verdict=_verdict(len(trios), farther, nearer, ALPHA, DIFFERS),
        e_value=e_value(farther, nearer),
        rows=tuple(sorted(rows, key=lambda row: (-row.excess, -row.raw, row.dimension.value))),
    )


def _row(dimension: Dimension, lines: Sequence[Line], trios: Sequence[Line], tests: int) -> DimensionRow:
    directed = dimension in WORSE
    raw = {line.pair for line in lines if _shows(line.differences, dimension, directed=directed)}
    noise = {line.pair for line in trios if _shows(line.noise, dimension, directed=directed)}
    only_raw = sum(line.pair in raw and line.pair not in noise for line in trios)
    only_noise = sum(line.pair in noise and line.pair not in raw for line in trios)
    bounds = interval(only_raw, only_noise, len(trios)) if trios else None
    worst = sorted((line for line in lines if line.pair in raw), key=lambda line: -line.severity)
    return DimensionRow(
        dimension=dimension,
        pairs=len(lines),
        raw=len(raw) / len(lines),
        trios=len(trios),
        noise=len(noise) / len(trios) if trios else 0.0,
        excess=bounds.estimate if bounds is not None else 0.0,
        low=bounds.low if bounds is not None else -1.0,
        high=bounds.high if bounds is not None else 1.0,
        e_value=e_value(only_raw, only_noise),
        verdict=_verdict(len(trios), only_raw, only_noise, ALPHA / tests, IS_WORSE if directed else DIFFERS),
        worst=tuple(line.pair for line in worst[:EXAMPLES]),
    )


def _shows(differences: Iterable[Difference], dimension: Dimension, *, directed: bool) -> bool:
    return any(each.dimension is dimension and (each.worse or not directed) for each in differences)


def _verdict(trios: int, positive: int, negative: int, alpha: float, word: str) -> str:
    if trios < MIN_TRIOS:
        return NO_DATA
    return word if differs(positive, negative, alpha) else NOISE


def _gravest(differences: Iterable[Difference]) -> float:
    return max((each.severity for each in differences), default=0.0)


def _measures(lines: Sequence[Line]) -> Iterable[Measure]:
    """Medians over the pairs that have the number on both sides. Times only where both calls found as much in the cache."""
    rows: tuple[tuple[str, str, bool, Callable[[Side], float | None]], ...] = (
        ("total", "ms", True, lambda side: side.total_ms or None),
        ("first byte", "ms", True, lambda side: side.first_byte_ms or None),
        ("input", "tokens", False, lambda side: _tokens(side, "input")),
        ("output", "tokens", False, lambda side: _tokens(side, "output")),
        ("reasoning", "tokens", False, lambda side: _tokens(side, "reasoning")),
        ("cost", "micro-USD", False, lambda side: None if side.cost is None else float(side.cost)),
    )
    for name, unit, timed, number in rows:
        chosen = [line for line in lines if not timed or _comparable(line)]
        both = [(number(line.primary), number(line.candidate), line) for line in chosen]
        known = [(one, other, line) for one, other, line in both if one is not None and other is not None]
        if not known:
            continue
        again = [
            value for *_, line in known if line.secondary is not None and (value := number(line.secondary)) is not None
        ]
        yield Measure(
            name=name,
            unit=unit,
            pairs=len(known),
            primary=median(one for one, _, _ in known),
            candidate=median(other for _, other, _ in known),
            secondary=median(again) if again else None,
        )


def _comparable(line: Line) -> bool:
    if line.replay_ms and line.secondary is None:
        return False  # the primary answered at another time
    against = line.secondary or line.primary
    return abs(_cached(against) - _cached(line.candidate)) <= CACHED_APART


def _cached(side: Side) -> float:
    whole = _tokens(side, "input") or 0.0
    return (_tokens(side, "cached") or 0.0) / whole if whole else 0.0


def _tokens(side: Side, kind: str) -> float | None:
    usage = side.observed.usage if side.observed is not None else None
    return float(getattr(usage, kind)) if usage is not None else None
