"""Prometheus: its configuration and rules are read by its own tool, and name metrics that exist."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from gateway.telemetry.metrics import METRICS
from tests.deploy.tools import DEPLOY, run

FOLDER = DEPLOY / "prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]


def test_configuration_is_read() -> None:
    """promtool accepts the scrape configuration and the rules it loads."""
    done = run("promtool", "check", "config", FOLDER / "prometheus.yml", package="Debian: prometheus")
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_fire_when_they_should() -> None:
    """The rules' own tests pass: they fire when they should, and not before."""
    done = run("promtool", "test", "rules", FOLDER / "alerts_test.yml", package="Debian: prometheus")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rules_name_metrics_that_exist(rule: dict[str, Any]) -> None:
    """Every metric of a rule is one of the gateway's, and every label of its message one of that metric's."""
    names = [name.removesuffix("_bucket") for name in re.findall(r"trivet_\w+", rule["expr"])]
    known = {row.full: row for row in METRICS.values()}
    assert [name for name in names if name not in known] == []
    allowed = {"instance", "job"} | {label for name in names for label in known[name].labels}
    said = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert said <= allowed
    assert rule["labels"]["severity"] in {"page", "ticket"}
