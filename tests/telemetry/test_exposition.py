"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.counters import Registry, Snapshot
from gateway.telemetry.exposition import CONTENT_TYPE, render
from gateway.telemetry.metrics import METRICS, Type


def scrape(snapshot: Snapshot) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples by name and labels, read by Prometheus' own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(render(snapshot).decode())
        for sample in family.samples
    }


def test_numbers_come_out_as_they_went_in() -> None:
    """Counters, gauges and cumulative histograms survive Prometheus' parser."""
    registry = Registry()
    registry.know("alias", ['we"ird\\name'])
    registry.counter("requests_total", 'we"ird\\name', "rel_1", "stable", "2xx").n += 3
    registry.gauge("in_flight").n = 2
    wait = registry.histogram("overhead_seconds")
    for value in (0.00005, 0.003, 5.0):
        wait.observe(value)
    found = scrape(registry.snapshot())
    labels = (("alias", 'we"ird\\name'), ("arm", "stable"), ("release", "rel_1"), ("status_class", "2xx"))
    assert found["trivet_requests_total", labels] == 3
    assert found["trivet_in_flight", ()] == 2
    assert found["trivet_overhead_seconds_bucket", (("le", "0.0001"),)] == 1
    assert found["trivet_overhead_seconds_bucket", (("le", "0.005"),)] == 2
    assert found["trivet_overhead_seconds_bucket", (("le", "+Inf"),)] == 3
    assert found["trivet_overhead_seconds_count", ()] == 3


def test_every_metric_has_help_and_type() -> None:
    """A scrape of a fresh gateway names every metric, and shows counters without labels as 0."""
    text = render(Snapshot()).decode()
    for metric in METRICS.values():
        assert f"# TYPE {metric.full} {metric.type.value}" in text
        assert f"# HELP {metric.full} {metric.help}" in text
        if metric.type is Type.COUNTER and not metric.labels:
            assert f"\n{metric.full} 0.0" in text
    assert CONTENT_TYPE.startswith("text/plain")
