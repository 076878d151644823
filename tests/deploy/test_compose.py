"""The compose file: complete, closed to the outside, and safe for stamps."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.deploy.tools import DEPLOY

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
KNOWN = {
    *("build", "cap_add", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "init", "ports"),
    *("read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "ulimits", "volumes"),
}
"""Words of the Compose Specification that this file uses; a misspelt one is not among them."""


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_closed(name: str) -> None:
    """Every service runs without capabilities to gain, on a read-only root, and publishes on loopback only."""
    service = SERVICES[name]
    assert set(service) <= KNOWN
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", []))
    assert not service["image"].endswith(":latest") and ":" in service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_references_lead_somewhere(name: str) -> None:
    """Volumes, files and services that a service names are there."""
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]


def test_redis_keeps_stamps() -> None:
    """Redis never evicts, persists, and has its password in no argument list."""
    command = " ".join(SERVICES["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command
    assert "--requirepass" not in command
    assert any(volume.endswith(":/data") for volume in SERVICES["redis"]["volumes"])


def test_no_secret_has_a_default() -> None:
    """A secret that is not set stops the start; none has a value in the file."""
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            assert re.search(r"\$\{\w+:\?[^}]+\}", value), f"{name}.{key}"
