"""What a request adds to the numbers."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.live.meters import CACHED, Meters
from gateway.telemetry.counters import Registry, flat
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer

KEPT = release("openai/gpt-4o-2024-08-06")


@pytest.fixture
def registry() -> Registry:
    """Empty numbers."""
    return Registry()


def meters(registry: Registry) -> Meters:
    """Meters that log nowhere."""
    return Meters(registry, lambda _text, **_fields: None)


def test_a_request_is_counted_once_under_its_release(gateway: LiveGateway, provider: Provider) -> None:
    """Requests, outcomes, sources, runs, tokens and times, by alias and release."""
    gateway.alias("gpt-4o", KEPT)
    gateway.registry.know("alias", ["gpt-4o"])
    assert gateway.chat("gpt-4o", {"x-trivet-run": "r1"}).status == 200
    gateway.wait(lambda: gateway.counted["in_flight"] == 0)
    counted = gateway.counted
    assert counted[f"requests_total{{gpt-4o,{KEPT.id},stable,2xx}}"] == 1
    assert counted["outcomes_total{gpt-4o,ok}"] == 1
    assert counted["requests_by_source_total{header}"] == 1
    assert counted[f"runs_bound_total{{gpt-4o,{KEPT.id},stable,pinned}}"] == 1
    assert counted[f"tokens_total{{gpt-4o,{KEPT.id},live,input}}"] == 5
    assert counted[f"tokens_total{{gpt-4o,{KEPT.id},live,output}}"] == 3
    histograms = gateway.registry.snapshot().histograms
    assert {"overhead_seconds", "first_byte_seconds", "request_seconds"} <= histograms.keys()


def test_a_refusal_counts_by_its_reason_and_a_providers_does_not(registry: Registry) -> None:
    """`rejected_total` is about what no provider was called for."""
    counting = meters(registry)
    counting.refused(Fault(Kind.BAD_REQUEST, "invalid_json", "", reason="json"))
    counting.refused(Fault(Kind.TOO_LARGE, "upstream_error", "", side=Side.PROVIDER))
    counting.refused(Fault(Kind.FORBIDDEN, "stamp_invalid", "", reason="expired"))
    counting.refused(Fault(Kind.AUTH, "invalid_api_key", "", reason="auth"))
    counted = flat(registry.snapshot())
    assert counted["rejected_total{json}"] == 1
    assert "rejected_total{upstream_error}" not in counted
    assert (counted["stamp_rejected_total{expired}"], counted["auth_total{refused}"]) == (1, 1)


def test_a_release_is_gone_until_its_provider_answers(gateway: LiveGateway, provider: Provider) -> None:
    """D9: the gauge goes up with the provider's word, is logged once, and down with the next answer."""
    gateway.alias("gpt-4o", KEPT)
    said = {"error": {"message": "no", "type": "t", "param": None, "code": "model_not_found"}}
    provider.then(answer(said, 404), answer(said, 404))
    gauge = f"release_unavailable{{{KEPT.id}}}"
    assert [gateway.chat("gpt-4o").status for _ in range(2)] == [404, 404]
    gateway.wait(lambda: gateway.counted[gauge] == 1)
    assert [fields for _, fields in gateway.logged] == [{"release": KEPT.id}]
    assert gateway.chat("gpt-4o").status == 200
    gateway.wait(lambda: gateway.counted[gauge] == 0)
    assert not gateway.worker.meters.gone


def test_registers_at_hand_are_bounded(registry: Registry) -> None:
    """Whatever labels come, the look-up table does not grow without end, and no number is lost."""
    counting = meters(registry)
    for n in range(CACHED + 5):
        counting.add("model_mismatch_total", "", f"r{n}")
    counting.add("model_mismatch_total", "", "r1")
    assert len(counting._kept) < CACHED
    assert (
        sum(count for name, count in flat(registry.snapshot()).items() if name.startswith("model_mismatch"))
        == CACHED + 6
    )


def test_an_unexpected_error_is_logged_by_type_and_place(registry: Registry) -> None:
    """Its text may quote a request, so it stays out."""
    logged: list[dict[str, object]] = []
    counting = Meters(registry, lambda _text, **fields: logged.append(fields))
    try:
        raise ValueError("sk-secret")
    except ValueError as error:
        counting.failed("req_1", error)
    assert flat(registry.snapshot())["handler_errors_total"] == 1
    assert (logged[0]["request"], logged[0]["error"]) == ("req_1", "ValueError")
    assert "sk-secret" not in str(logged)
