"""The life of a request, from the agent's side and the provider's."""

from __future__ import annotations

from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, completion

PINNED = release("openai/gpt-4o-2024-08-06")


def test_alias_is_rewritten_to_its_snapshot_and_nothing_else_changes(gateway: LiveGateway, provider: Provider) -> None:
    """The provider receives the client's own bytes with the model spliced; the client receives the provider's own bytes."""
    gateway.alias("gpt-4o", PINNED)
    body = b'{ "messages" : [{"role":"user","content":"Hi \\u00e9"}],\n "model":"gpt-4o" , "x_unknown": 1.0 }'
    got = gateway.request("POST", "/v1/chat/completions", body, {"x-trivet-run": "run-1"})
    assert provider.requests[0].body == body.replace(b'"gpt-4o"', b'"gpt-4o-2024-08-06"')
    assert got.status == 200
    assert got.json["model"] == "gpt-4o-2024-08-06"
    assert got.headers["x-trivet-release"] == PINNED.id
    assert got.headers["x-trivet-run"] == "run-1"
    assert got.headers["x-trivet-bound"] == "new"
    assert got.headers["x-trivet-pin"] == "pinned"
    assert got.headers["x-trivet-model"] == "openai/gpt-4o-2024-08-06"
    assert provider.requests[0].fields["authorization"] == "Bearer sk-provider"
    assert not [name for name in provider.requests[0].fields if name.startswith("x-trivet")]


def test_an_error_nobody_expected_is_a_500_in_shape_and_its_text_stays_inside(
    gateway: LiveGateway, monkeypatch
) -> None:
    """A failing phase answers 500, is counted and logged by type and place only."""
    monkeypatch.setattr("gateway.live.handler.rewrite", lambda *_: 1 / 0)
    gateway.alias("gpt-4o", PINNED)
    got = gateway.chat("gpt-4o")
    assert (got.status, got.json["error"]["code"]) == (500, "internal_error")
    assert gateway.counted["handler_errors_total"] == 1
    assert gateway.logged[0][1]["error"] == "ZeroDivisionError"
    gateway.wait(lambda: gateway.worker.meters.in_flight.n == 0)
    monkeypatch.undo()
    assert gateway.chat("gpt-4o").status == 200


def test_unknown_route_is_404_and_reaches_no_provider(gateway: LiveGateway, provider: Provider) -> None:
    """Paths outside the enumerated routes are refused."""
    got = gateway.request("GET", "/nowhere/else")
    assert (got.status, got.json["error"]["code"]) == (404, "not_found")
    assert not provider.requests


def test_the_answering_model_is_observed_and_a_mismatch_flagged(gateway: LiveGateway, provider: Provider) -> None:
    """An answer from another model passes, and is counted."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(completion("x", model="gpt-4o-2024-11-20"))
    assert gateway.chat("gpt-4o").status == 200
    gateway.wait(lambda: any(name.startswith("model_mismatch_total") for name in gateway.counted))
