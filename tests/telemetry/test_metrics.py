"""The table of metrics."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from gateway.telemetry.metrics import LABELS, METRICS, Metric, Type

FORBIDDEN = {"run", "user", "session", "key", "request", "id", "pid"}


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_each_row_follows_the_rules(metric: Metric) -> None:
    """Names, help and labels follow Prometheus' conventions, and no label can tell a person or a run."""
    assert re.fullmatch(r"trivet_[a-z][a-z0-9_]*", metric.full)
    assert metric.name.endswith("_total") == (metric.type is Type.COUNTER)
    assert metric.help.endswith(".")
    assert not FORBIDDEN & set(metric.labels)
    assert bool(metric.buckets) == (metric.type is Type.HISTOGRAM)
    assert all(one < two for one, two in pairwise(metric.buckets))
    for word in ("milliseconds", "kilobytes", "_ms_"):
        assert word not in metric.name


def test_no_name_twice() -> None:
    """Each metric has one row, and labels with rules are in use."""
    assert len({metric.full for metric in METRICS.values()}) == len(METRICS)
    used = {label for metric in METRICS.values() for label in metric.labels}
    assert set(LABELS) <= used


@pytest.mark.parametrize(
    "name",
    [
        "rejected_total", "client_timeout_total", "requests_total", "tenant_inflight", "stamp_rejected_total",
        "stamp_missing_total", "auth_total", "authz_denied_total", "config_version", "upstream_errors_total", "retries_total",
        "retry_budget_exhausted_total", "release_unavailable", "model_mismatch_total", "breaker_state", "stream_aborts_total",
        "client_disconnect_total", "heartbeats_total", "redis_up", "pointer_age_seconds", "stamp_wal_pending",
        "redis_breaker_state", "redis_errors_total", "redis_unsafe_config", "stamp_repaired_total", "wal_replayed_total",
        "wal_bad_records_total", "wal_fsync_seconds", "wal_errors_total", "draining", "conn_rejected_total",
        "config_reload_total", "active_release",
    ],
)  # fmt: skip
def test_faults_have_their_metric(name: str) -> None:
    """Every metric that a fault row of the live path promises is there."""
    assert name in METRICS
