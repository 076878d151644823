"""The merged numbers as Prometheus reads them. The only file that knows prometheus-client; live workers never import it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gateway.telemetry.counters import Snapshot
from gateway.telemetry.metrics import METRICS, Metric, Type

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class SnapshotCollector(Collector):
    """A collector over whatever `read` returns at the time of a scrape."""

    def __init__(self, read: Callable[[], Snapshot], metrics: Mapping[str, Metric] = METRICS) -> None:
        self._read = read
        self._metrics = metrics

    def collect(self) -> Iterable[Family]:
        """Every metric of the table; counters without labels that nobody counted yet are shown as 0."""
        snapshot = self._read()
        for name, metric in self._metrics.items():
            if metric.type is Type.HISTOGRAM:
                yield _histogram(metric, snapshot)
                continue
            rows = snapshot.numbers.get(name, [])
            if metric.type is Type.COUNTER:
                counter = CounterMetricFamily(metric.full.removesuffix("_total"), metric.help, labels=metric.labels)
                for values, number in rows or ([((), 0.0)] if not metric.labels else []):
                    counter.add_metric(values, number)
                yield counter
            else:
                gauge = GaugeMetricFamily(metric.full, metric.help, labels=metric.labels)
                for values, number in rows:
                    gauge.add_metric(values, number)
                yield gauge


def _histogram(metric: Metric, snapshot: Snapshot) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.full, metric.help, labels=metric.labels)
    for values, state in snapshot.histograms.get(metric.name, []):
        bounds = [*(f"{bound:g}" for bound in metric.buckets), "+Inf"]
        family.add_metric(values, list(zip(bounds, accumulate(state.counts), strict=True)), state.sum)
    return family


def render(snapshot: Snapshot, metrics: Mapping[str, Metric] = METRICS) -> bytes:
    """The text format of one scrape, to be sent as CONTENT_TYPE."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(lambda: snapshot, metrics))
    return generate_latest(registry)
