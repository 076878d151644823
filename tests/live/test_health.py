"""Liveness and readiness."""

from __future__ import annotations

import pytest

from gateway.live.health import LIVENESS
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer

READINESS = ("/readyz", "/health/readiness")


@pytest.mark.parametrize("path", [*LIVENESS, *READINESS])
def test_a_worker_that_serves_says_so_and_calls_nobody(gateway: LiveGateway, provider: Provider, path: str) -> None:
    """Never cached, and no provider is asked."""
    gateway.alias("gpt-4o", release("openai/gpt-4o-2024-08-06"))
    got = gateway.request("GET", path)
    assert (got.status, got.json) == (200, {"status": "ok", "reasons": []})
    assert got.headers["cache-control"] == "no-store"
    assert not provider.requests


def test_a_draining_worker_is_alive_and_not_ready(gateway: LiveGateway) -> None:
    """So that a load balancer looks away and nobody kills it."""
    gateway.alias("gpt-4o", release("openai/gpt-4o-2024-08-06"))
    gateway.worker.draining = True
    assert gateway.request("GET", "/readyz").json == {"status": "unavailable", "reasons": ["draining"]}
    assert gateway.request("GET", "/readyz").status == 503
    assert gateway.request("GET", "/livez").status == 200


def test_a_model_that_is_gone_is_named_but_takes_no_worker_out_of_service(
    gateway: LiveGateway, provider: Provider
) -> None:
    """D9: every worker would say the same, so readiness stays, and names the release."""
    kept = release("openai/gpt-4o-2024-08-06")
    gateway.alias("gpt-4o", kept)
    provider.then(answer({"error": {"message": "no", "code": "model_not_found"}}, 410))
    assert gateway.chat("gpt-4o").status == 410
    gateway.wait(lambda: gateway.worker.meters.gone)
    got = gateway.request("GET", "/readyz")
    assert (got.status, got.json["releases_unavailable"]) == (200, [kept.id])
    assert gateway.request("GET", "/livez").json == {"status": "ok", "reasons": []}
