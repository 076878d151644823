"""The headers that say what was served, whatever a client or an operator called things."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.binding.ticket import verify
from gateway.live.stamps import safe
from tests.live.gateway import STAMP_KEY, LiveGateway, release
from tests.provider import Provider, answer, chat_body, completion, drop

PINNED = release("openai/gpt-4o-2024-08-06")


@given(st.text())
def test_a_safe_value_fits_a_header_line(value: str) -> None:
    """Whatever goes in, printable ASCII without spaces comes out, and a plain name stays as it is."""
    out = safe(value)
    assert out.isascii()
    assert not any(c <= " " or c == "\x7f" for c in out)
    if value and all("!" <= c <= "~" for c in value):
        assert out == value


def test_a_bound_answer_says_everything(gateway: LiveGateway) -> None:
    """Request, run, alias, release, model, pin, arm, attempts, and a ticket that brings the run back."""
    gateway.alias("gpt-4o", PINNED)
    got = gateway.chat("gpt-4o", {"x-trivet-run": "r1"}).headers
    ticket = got.pop("x-trivet-ticket")
    assert {name: value for name, value in got.items() if name.startswith("x-trivet-")} == {
        "x-trivet-request": "t1",
        "x-trivet-run": "r1",
        "x-trivet-bound": "new",
        "x-trivet-alias": "gpt-4o",
        "x-trivet-release": PINNED.id,
        "x-trivet-model": "openai/gpt-4o-2024-08-06",
        "x-trivet-pin": "pinned",
        "x-trivet-arm": "stable",
        "x-trivet-endpoint": "openai",
        "x-trivet-attempts": "1",
    }
    held = verify(ticket, (STAMP_KEY,), now_ms=gateway.worker.now_ms(), max_age_s=60, tenant="default")
    assert (held.run, held.alias, held.release) == ("r1", "gpt-4o", PINNED.id)


def test_a_floating_answer_names_no_release(gateway: LiveGateway) -> None:
    """What no release stands for has no release header, and its pin says floating."""
    got = gateway.ready().chat("gpt-4o", {"x-trivet-run": "r1"})
    assert "x-trivet-release" not in got.headers
    assert (got.headers["x-trivet-pin"], got.headers["x-trivet-model"]) == ("floating", "openai/gpt-4o")


def test_errors_say_it_too(gateway: LiveGateway, provider: Provider) -> None:
    """An error after the binding carries the stamp; one before it the request and that nobody was called."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(drop)
    late = gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
    assert (late.status, late.headers["x-trivet-release"], late.headers["x-trivet-attempts"]) == (502, PINNED.id, "1")
    early = gateway.chat("gpt-4o", {"x-trivet-run": "no such id"})
    assert (early.status, early.headers["x-trivet-attempts"]) == (400, "0")
    assert "x-trivet-run" not in early.headers


@pytest.mark.parametrize("model", ["gpt\r\nx-evil: 1", "gpt\x00\x7f", "модель", "a b", "\ud7ff💥", "%0d%0ax: 1"])
def test_no_model_name_ends_a_header_line(gateway: LiveGateway, provider: Provider, model: str) -> None:
    """Line ends, control and other characters in `model` are percent-encoded in our headers, and reach the provider as sent."""
    body = json.dumps({"model": model, "messages": []}).encode()
    provider.then(completion(model="x"))
    got = gateway.ready().request("POST", "/v1/chat/completions", body)
    assert got.status == 200
    assert "x-evil" not in got.headers
    assert got.headers["x-trivet-alias"] == safe(model)
    assert got.headers["x-trivet-alias"].isascii()
    assert provider.requests[0].json["model"] == model


def test_a_provider_cannot_speak_for_the_gateway(gateway: LiveGateway, provider: Provider) -> None:
    """`x-trivet-…` headers of a provider are dropped."""
    gateway.alias("gpt-4o", PINNED)
    from_provider = {"x-trivet-release": "rel_evil", "X-Trivet-Other": "1", "x-request-id": "req_1"}
    provider.then(answer(chat_body("x", "gpt-4o-2024-08-06"), headers=from_provider))
    got = gateway.chat("gpt-4o")
    assert got.headers["x-trivet-release"] == PINNED.id
    assert "x-trivet-other" not in got.headers
    assert got.headers["x-request-id"] == "req_1"
