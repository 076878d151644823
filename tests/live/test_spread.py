"""Providers with several endpoints behind the whole live path: who serves a run, and what each endpoint is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.contract.release import Params
from gateway.core.dialect.carry import placed
from tests.live.gateway import LiveGateway, release
from tests.live.test_record import steps
from tests.provider import Provider, answer, completion

MODEL = "gpt-4o-2024-08-06"
REFUSED = answer({"error": {"message": "no", "type": "t", "param": None, "code": "rate_limit_exceeded"}}, 429)
CLAUDE, GEMINI = "claude-sonnet-4-5-20250929", "gemini-2.5-flash-001"
SAID = {
    "/v1/messages": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [{"type": "text", "text": "Hi."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "/v1beta/models/a:generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP"}],
        "modelVersion": GEMINI,
    },
}
BOUND = {"x-trivet-run": "r"}


@pytest.fixture
def hosts() -> Iterator[tuple[Provider, Provider]]:
    """Two hosts that answer chat completions."""
    with Provider() as one, Provider() as two:
        yield one, two


@pytest.fixture
def gateway(redis_server, hosts: tuple[Provider, Provider], tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway whose provider `openai` has the two as endpoints; the second knows the model by a deployment's name.
    Provider `split` has a standby in place of the equal share."""
    one, two = hosts
    azure = {"url": two.url, "api_key": "sk-two", "vendor": "azure", "models": {MODEL: "prod", "o1-2024-12-17": "o1"}}

    def named(weight: int) -> dict[str, Any]:
        listed = [{"url": one.url}, {**azure, "weight": weight}]
        return {
            "base_url": one.url,
            "api_key": "sk-one",
            "allow_private": True,
            "vendor": "openai",
            "endpoints": listed,
        }

    apart = {"url": two.url, "api_key": "sk-two", "dialects": ["anthropic"]}
    mixed = {**named(1), "endpoints": [{"url": one.url, "dialects": ["openai"]}, apart]}

    def compatible(vendor: str, model: str) -> dict[str, Any]:
        listed = [{"url": one.url}, {"url": two.url, "weight": 0, "models": {model: "their-name"}}]
        return {"base_url": one.url, "api_key": "sk-one", "allow_private": True, "vendor": vendor, "endpoints": listed}

    others = {"claude": compatible("anthropic", CLAUDE), "google": compatible("google", GEMINI)}
    providers = {"openai": named(0), "split": named(1), "mixed": mixed, **others}
    with LiveGateway(redis_server.url, tmp_path, providers) as running:
        yield running


def test_a_failover_is_spelled_for_its_endpoint(gateway: LiveGateway, hosts: tuple[Provider, Provider]) -> None:
    """Each endpoint gets the release's model under its own name and the same other bytes; the answer says who served."""
    one, two = hosts
    params = Params(set={"temperature": 0}, drop=("top_k",))
    gateway.alias("gpt-4o", release(f"openai/{MODEL}", params=params))
    one.then(REFUSED)
    body = b'{ "model":"gpt-4o", "top_k":4,"messages":[ {"role":"user","content":"\\u00e9"} ],"trivet":{} }'
    got = gateway.request("POST", "/v1/chat/completions", body, BOUND)
    assert (got.status, got.headers["x-trivet-endpoint"], got.headers["x-trivet-attempts"]) == (200, "openai#1", "2")
    assert got.headers["x-trivet-model"] == f"openai/{MODEL}"
    first, second = one.requests[0], two.requests[0]
    assert first.body == second.body.replace(b'"prod"', b'"%b"' % MODEL.encode())
    assert second.json == {
        "model": "prod",
        "messages": [{"role": "user", "content": "é"}],
        "temperature": 0,
    }
    assert (first.fields["authorization"], second.fields["api-key"]) == ("Bearer sk-one", "sk-two")
    assert (first.target, second.target) == ("/v1/chat/completions", "/openai/v1/chat/completions")
    (step,) = steps(gateway, "r")
    assert (step.endpoint, step.attempts, step.attempt_log) == ("openai#1", 2, ("openai:429",))
    assert step.flags == (), "an endpoint's own name of the pinned model is no mismatch"


def test_a_run_and_a_conversation_keep_their_endpoint(gateway: LiveGateway, hosts: tuple[Provider, Provider]) -> None:
    """All steps of a run are served by one endpoint, and so are the turns of a conversation that names no run."""
    gateway.alias("gpt-4o", release(f"split/{MODEL}"))
    ends: dict[str, set[str]] = {}
    for number in [*range(8)] * 2:
        got = gateway.chat("gpt-4o", {"x-trivet-run": f"run-{number}"})
        ends.setdefault(f"run-{number}", set()).add(got.headers["x-trivet-endpoint"])
        opening = [{"role": "user", "content": f"Question {number}"}]
        later = [{"role": "assistant", "content": "?"}, {"role": "user", "content": "Go on"}]
        for messages in (opening, [*opening, *later]):
            got = gateway.chat("gpt-4o", messages=messages)
            ends.setdefault(f"talk-{number}", set()).add(got.headers["x-trivet-endpoint"])
    assert {len(served) for served in ends.values()} == {1}
    assert {served for each in ends.values() for served in each} == {"split", "split#1"}
    assert {each.json["model"] for each in hosts[1].requests} == {"prod"}


def test_only_an_endpoint_that_serves_the_model_is_called(
    gateway: LiveGateway, hosts: tuple[Provider, Provider]
) -> None:
    """A dialect that no endpoint of the release's provider speaks is refused with the route to call; others find theirs."""
    gateway.alias("mixed", release(f"mixed/{MODEL}"))
    got = gateway.chat("mixed")
    assert (got.status, got.headers["x-trivet-endpoint"]) == (200, "mixed")
    gemini = gateway.request("POST", "/v1beta/models/mixed:generateContent", {"contents": []})
    assert gemini.status == 400
    assert not hosts[1].requests


def test_requests_without_a_model_go_to_the_first_endpoint(
    gateway: LiveGateway, hosts: tuple[Provider, Provider]
) -> None:
    """Files and the like live in one account."""
    hosts[0].default = answer({"ok": True})
    for _ in range(3):
        assert gateway.request("GET", "/split/v1/files").headers["x-trivet-endpoint"] == "split"
    assert not hosts[1].requests


def test_a_model_stands_in_a_path_as_one_segment() -> None:
    """Whatever a model is called, it does not leave its place in a path."""
    assert (
        placed("/v1beta/models/{model}:generateContent", "a/../b:c") == "/v1beta/models/a%2F..%2Fb%3Ac:generateContent"
    )
    assert placed("/v1/chat/completions", "x") == "/v1/chat/completions"


def test_streams_say_their_endpoint_too(gateway: LiveGateway, hosts: tuple[Provider, Provider]) -> None:
    """A request that failed everywhere names the last endpoint that was called."""
    gateway.alias("gpt-4o", release(f"openai/{MODEL}"))
    for host in hosts:
        host.then(REFUSED, completion())
    got = gateway.chat("gpt-4o", BOUND)
    assert (got.status, got.headers["x-trivet-endpoint"], got.headers["x-trivet-attempts"]) == (429, "openai#1", "2")
    assert "x-should-retry" not in got.headers


def test_state_is_asked_for_where_it_was_made(gateway: LiveGateway, hosts: tuple[Provider, Provider]) -> None:
    """A response that a failover made at another endpoint is continued and read there, however healthy the run's own is."""
    one, two = hosts
    gateway.alias("gpt-4o", release(f"openai/{MODEL}"))
    one.then(REFUSED)
    made = {"id": "resp_1", "object": "response", "status": "completed", "model": MODEL, "output": [], "error": None}
    one.default = two.default = answer(made)
    first = gateway.request("POST", "/v1/responses", {"model": "gpt-4o", "input": "Hello?"}, BOUND)
    assert (first.status, first.headers["x-trivet-endpoint"]) == (200, "openai#1")
    more = {"model": "gpt-4o", "input": "Go on", "previous_response_id": "resp_1"}
    for headers in (BOUND, {}):
        again = gateway.request("POST", "/v1/responses", more, headers)
        assert (again.status, again.headers["x-trivet-endpoint"], again.headers["x-trivet-run"]) == (
            200,
            "openai#1",
            "r",
        )
    read = gateway.request("GET", "/openai/v1/responses/resp_1")
    assert (read.status, read.headers["x-trivet-endpoint"]) == (200, "openai#1")
    assert len(one.requests) == 1


@pytest.mark.parametrize(
    ("path", "snapshot", "targets", "models"),
    [
        ("/v1/messages", f"claude/{CLAUDE}", ["/v1/messages"] * 2, [CLAUDE, "their-name"]),
        (
            "/v1beta/models/a:generateContent",
            f"google/{GEMINI}",
            [f"/v1beta/models/{GEMINI}:generateContent", "/v1beta/models/their-name:generateContent"],
            [None, None],
        ),
    ],
)
def test_a_compatible_host_is_called_by_its_own_name_of_the_model(
    gateway: LiveGateway,
    hosts: tuple[Provider, Provider],
    path: str,
    snapshot: str,
    targets: list[str],
    models: list[str],
) -> None:
    """In the body or in the path, wherever the dialect has it, and in no dialect that the host does not speak."""
    one, two = hosts
    gateway.alias("a", release(snapshot))
    one.then(REFUSED)
    two.default = answer(SAID[path])
    body = {"model": "a", "max_tokens": 5, "messages": [], "contents": [{"parts": [{"text": "Hello?"}]}]}
    if "models" in path:
        body = {"contents": body["contents"]}
    got = gateway.request("POST", path, body, BOUND)
    assert (got.status, got.headers["x-trivet-endpoint"].partition("#")[2], got.json) == (200, "1", SAID[path])
    seen = [one.requests[0], two.requests[0]]
    assert [each.target for each in seen] == targets
    assert [each.json.get("model") for each in seen] == models
    assert gateway.chat("a").json["error"]["code"] == "wrong_dialect"
