"""Plain numbers that the hot path adds to, and their rendering to a snapshot that can be merged over processes.

The rule: labels are resolved once and the caller keeps what it got. Then counting is `register.n += 1`, a histogram is one
bisect, and nothing on the way of a request formats, locks or looks up a label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.telemetry.metrics import DEFAULT_LIMIT, LABELS, METRICS, OTHER, Across, Label, Metric, Type

Labels = tuple[str, ...]
Reading = tuple[str, Labels, float]
"""What a source yields: metric name, label values, the number as it stands."""


class Register:
    """A counter or a gauge: one number that its owner adds to or sets."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n: float = 0


class Histogram:
    """Counts per bucket and a sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in the metric's unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class HistogramState(msgspec.Struct, array_like=True):
    """A histogram in a snapshot: counts per bucket (not cumulative) and the sum."""

    counts: list[int]
    sum: float


class Snapshot(msgspec.Struct):
    """All numbers of one process, or of several merged. Maps go from metric name to (label values, number) rows."""

    numbers: dict[str, list[tuple[Labels, float]]] = {}
    histograms: dict[str, list[tuple[Labels, HistogramState]]] = {}


class Registry:
    """The registers of one process. Not thread-safe: one event loop owns it.

    `counter`, `gauge` and `histogram` return the same object for the same labels; keep it. Label values that are not
    allowed to grow further fold into `other` there and then.
    """

    def __init__(self, metrics: Mapping[str, Metric] = METRICS, labels: Mapping[str, Label] = LABELS) -> None:
        self._metrics = metrics
        self._rules = labels
        self._registers: dict[str, dict[Labels, Register]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        self._values: dict[str, set[str]] = {}
        self._sources: list[Callable[[], Iterable[Reading]]] = []
        self.folded = 0

    def know(self, label: str, values: Iterable[str]) -> None:
        """Let names of the configuration and the store be label values; a label's limit holds for these too."""
        seen = self._values.setdefault(label, set())
        limit = self._rules.get(label, Label(DEFAULT_LIMIT)).limit
        for value in values:
            if len(seen) >= limit:
                return
            seen.add(value)

    def counter(self, name: str, *values: str) -> Register:
        """The counter of these label values."""
        return self._register(name, values, Type.COUNTER)

    def gauge(self, name: str, *values: str) -> Register:
        """The gauge of these label values."""
        return self._register(name, values, Type.GAUGE)

    def histogram(self, name: str, *values: str) -> Histogram:
        """The histogram of these label values."""
        metric = self._metric(name, values, Type.HISTOGRAM)
        series = self._histograms.setdefault(name, {})
        found = series.get(values)
        if found is None:
            values = self._bounded(metric, values)
            found = series.get(values)
        if found is None:
            found = series[values] = Histogram(metric.buckets)
        return found

    def source(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Add numbers that another room keeps in its own way; `read` is called for every snapshot."""
        self._sources.append(read)

    def snapshot(self) -> Snapshot:
        """All numbers as they stand."""
        numbers: dict[str, dict[Labels, float]] = {}
        for name, registers in self._registers.items():
            numbers[name] = {values: register.n for values, register in registers.items()}
        for read in self._sources:
            for name, values, number in read():
                metric = self._metric(name, values, None)
                rows = numbers.setdefault(name, {})
                kept = self._bounded(metric, values)
                rows[kept] = rows.get(kept, 0) + number
        numbers["labels_folded_total"] = {(): self.folded}
        return Snapshot(
            {name: list(rows.items()) for name, rows in numbers.items()},
            {
                name: [(values, HistogramState(list(h.counts), h.sum)) for values, h in series.items()]
                for name, series in self._histograms.items()
            },
        )

    def _register(self, name: str, values: Labels, kind: Type) -> Register:
        series = self._registers.get(name)
        if series is not None:
            found = series.get(values)
            if found is not None:
                return found
        metric = self._metric(name, values, kind)
        series = self._registers.setdefault(name, {})
        values = self._bounded(metric, values)
        found = series.get(values)
        if found is None:
            found = series[values] = Register()
        return found

    def _metric(self, name: str, values: Labels, kind: Type | None) -> Metric:
        metric = self._metrics.get(name)
        if metric is None or (kind is not None and metric.type is not kind):
            raise KeyError(f"no {kind or 'metric'} named {name} in telemetry/metrics.py")
        if len(values) != len(metric.labels):
            raise ValueError(f"{name} has the labels {metric.labels}, {len(values)} values given")
        return metric

    def _bounded(self, metric: Metric, values: Labels) -> Labels:
        kept = tuple(self._value(label, value) for label, value in zip(metric.labels, values, strict=True))
        if kept != values:
            self.folded += 1
        return kept

    def _value(self, label: str, value: str) -> str:
        seen = self._values.get(label)
        if seen is None:
            seen = self._values[label] = set()
        if value in seen or value in {"", OTHER}:
            return value
        rule = self._rules.get(label)
        if rule is not None and rule.known:
            return OTHER
        if len(seen) >= (rule.limit if rule is not None else DEFAULT_LIMIT):
            return OTHER
        seen.add(value)
        return value


def encode(snapshot: Snapshot) -> bytes:
    """A snapshot as JSON."""
    return msgspec.json.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """Read what `encode` wrote. Raises msgspec.DecodeError or msgspec.ValidationError."""
    return msgspec.json.decode(data, type=Snapshot)


def merge(live: Iterable[Snapshot], dead: Iterable[Snapshot] = (), metrics: Mapping[str, Metric] = METRICS) -> Snapshot:
    """One snapshot of several processes. Counters and histograms of dead processes stay, their gauges go.

    Metrics that the table does not know (another version wrote them) and histograms with other buckets are left out.
    """
    numbers: dict[str, dict[Labels, float]] = {}
    histograms: dict[str, dict[Labels, HistogramState]] = {}
    for snapshot, alive in (*((s, True) for s in live), *((s, False) for s in dead)):
        for name, rows in snapshot.numbers.items():
            metric = metrics.get(name)
            if metric is None or (metric.type is Type.GAUGE and not alive):
                continue
            into = numbers.setdefault(name, {})
            for values, number in rows:
                if len(values) == len(metric.labels):
                    into[values] = _across(metric, into.get(values), number)
        for name, states in snapshot.histograms.items():
            metric = metrics.get(name)
            if metric is None:
                continue
            series = histograms.setdefault(name, {})
            for values, state in states:
                if len(state.counts) == len(metric.buckets) + 1 and len(values) == len(metric.labels):
                    series[values] = _summed(series.get(values), state)
    return Snapshot(
        {name: list(rows.items()) for name, rows in numbers.items()},
        {name: list(series.items()) for name, series in histograms.items()},
    )


def _across(metric: Metric, one: float | None, other: float) -> float:
    if one is None:
        return other
    if metric.type is Type.COUNTER or metric.across is Across.SUM:
        return one + other
    return max(one, other) if metric.across is Across.MAX else min(one, other)


def _summed(one: HistogramState | None, other: HistogramState) -> HistogramState:
    if one is None:
        return HistogramState(list(other.counts), other.sum)
    return HistogramState([a + b for a, b in zip(one.counts, other.counts, strict=True)], one.sum + other.sum)


def flat(snapshot: Snapshot) -> dict[str, Any]:
    """Numbers by `name{value,...}`: for tests and `trivet status`."""
    return {
        f"{name}{{{','.join(values)}}}" if values else name: number
        for name, rows in snapshot.numbers.items()
        for values, number in rows
    }
