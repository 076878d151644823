"""What is written down about a request after its answer has left."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from gateway.core.contract.exchange import Outcome, Usage
from gateway.core.contract.journal import Step
from gateway.core.contract.run import Source
from tests.live.gateway import LiveGateway, Split, release
from tests.provider import Provider, answer, drop, events, stream

KEPT = release("openai/gpt-4o-2024-08-06")


@pytest.fixture(autouse=True)
def _alias(gateway: LiveGateway) -> None:
    gateway.alias("gpt-4o", KEPT)


def steps(gateway: LiveGateway, run: str, count: int = 1) -> list[Step]:
    """The steps of a run, once there are as many."""

    def read() -> list[Step]:
        record: Any = gateway.flow(gateway.store.run_record("default", run))
        return [entry for entry in record.entries if isinstance(entry, Step)]

    gateway.wait(lambda: len(read()) >= count)
    return read()


def test_a_step_says_what_was_asked_called_and_answered(gateway: LiveGateway) -> None:
    """One entry per step, with both models, digests of what was sent, times and usage."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    tools = [{"type": "function", "function": {"name": "look"}}]
    headers = {"x-trivet-run": "r1", "x-trivet-step": "plan"}
    assert gateway.chat("gpt-4o", headers, messages=messages, tools=tools).status == 200
    (step,) = steps(gateway, "r1")
    assert (step.alias, step.release, step.asked) == ("gpt-4o", KEPT.id, "gpt-4o")
    assert (step.model, step.answered) == ("openai/gpt-4o-2024-08-06", "gpt-4o-2024-08-06")
    assert (step.outcome, step.status, step.code, step.finish) == (Outcome.OK, 200, "", "stop")
    assert (step.usage, step.fingerprint, step.endpoint) == (Usage(5, 3), "fp_1", "openai")
    assert (step.attempts, step.attempt_log, step.flags, step.excerpt) == (1, (), (), "")
    assert (step.source, step.label, step.path, step.stream) == (Source.HEADER, "plan", "/v1/chat/completions", False)
    assert len(step.prompt) == len(step.tools) == 64
    assert step.prompt != sha256(b"").hexdigest() != step.tools
    assert 0 <= step.overhead_ms <= step.first_byte_ms <= step.total_ms


def test_failures_keep_their_attempts_codes_and_excerpts(gateway: LiveGateway, provider: Provider) -> None:
    """Whatever went wrong, the entry says how, under the status that the client got."""
    run = {"x-trivet-run": "r1"}
    provider.then(drop, answer(b"<html>sk-provider", 502, {"content-type": "text/html"}), stream(events(["a"])[:-1]))
    for streamed in (False, False, True):
        try:
            gateway.chat("gpt-4o", run, stream=streamed)
        except Exception as error:
            assert streamed and type(error).__name__ == "IncompleteRead"
    lost, page, cut = steps(gateway, "r1", 3)
    assert (lost.outcome, lost.status, lost.attempt_log) == (Outcome.MAYBE_SENT, 502, ("maybe_sent",))
    assert (page.outcome, page.status, page.code) == (Outcome.PROVIDER_ERROR, 502, "upstream_error")
    assert page.excerpt == "<html>(redacted)"
    assert (cut.outcome, cut.status, cut.code, cut.usage) == (Outcome.INCOMPLETE, 200, "upstream_cut", Usage(5, 3))


def test_requests_without_a_binding_leave_no_entry(gateway: LiveGateway) -> None:
    """A refused request is counted, and that is all."""
    assert gateway.request("POST", "/v1/chat/completions", b"{", {"content-type": "application/json"}).status == 400
    gateway.wait(lambda: gateway.counted.get("requests_total{,,,4xx}") == 1)
    assert "outcomes_total{gpt-4o,fault}" not in gateway.counted


def test_digests_are_of_the_prompt_and_the_tools_as_sent(gateway: LiveGateway) -> None:
    """The same prompt and tools have the same digest in every step of a run; another byte makes another one."""
    system = b'[{"role":"system","content":"Be  brief."}]'
    tools = b'[ {"type":"function"} ]'
    body = b'{"model":"gpt-4o","tools":%b,"messages":[%b,{"role":"user","content":"%b"}]}'
    for text in (b"one", b"two"):
        gateway.request("POST", "/v1/chat/completions", body % (tools, system[1:-1], text), {"x-trivet-run": "r1"})
    one, two = steps(gateway, "r1", 2)
    assert (one.prompt, one.tools) == (sha256(system).hexdigest(), sha256(tools).hexdigest())
    assert (two.prompt, two.tools) == (one.prompt, one.tools)
    gateway.chat("gpt-4o", {"x-trivet-run": "r2"})
    (bare,) = steps(gateway, "r2")
    assert (bare.prompt, bare.tools) == ("", "")


def test_a_run_is_exposed_once_and_without_a_rollout_nothing_is_an_event(
    gateway: LiveGateway, provider: Provider, redis_server
) -> None:
    """Without a rollout: one exposure per named run, none for runs of one request, and no events, for nobody reads them."""
    keys = gateway.store.keys
    for headers in ({"x-trivet-run": "r1"}, {"x-trivet-run": "r1"}, {}):
        assert gateway.chat("gpt-4o", headers).status == 200
    provider.then(drop)
    gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
    steps(gateway, "r1", 3)
    assert redis_server.ask(f"XLEN {keys.exposures('gpt-4o')}") == b":1\r\n"
    assert b"r1" in redis_server.ask(f"XRANGE {keys.exposures('gpt-4o')} - +")
    assert redis_server.ask(f"EXISTS {keys.events('gpt-4o')}") == b":0\r\n"


def test_while_a_rollout_splits_every_run_is_exposed_with_its_arm_and_salt(gateway: LiveGateway, redis_server) -> None:
    """Guardrails read arm, allocation and salt of every run, nameless ones too, and an event of each request."""
    challenger = release("openai/gpt-4o-2024-11-20")
    state = gateway.store.pointers.alias("gpt-4o")
    assert state is not None
    split = Split(candidate=challenger.id, salt="grain", weights={"*": 10_000})
    gateway.move(msgspec.structs.replace(state, version=2, split=split), challenger)
    gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
    gateway.chat("gpt-4o")
    keys = gateway.store.keys
    gateway.wait(lambda: redis_server.ask(f"XLEN {keys.events('gpt-4o')}") == b":2\r\n")
    told = redis_server.ask(f"XRANGE {keys.exposures('gpt-4o')} - +")
    assert redis_server.ask(f"XLEN {keys.exposures('gpt-4o')}") == b":2\r\n"
    for word in (b"grain", b"canary", challenger.id.encode(), b"10000"):
        assert word in told
