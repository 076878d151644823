"""A prompt shipped without a release is noticed, on a real gateway; a dated prompt is not."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway_process import Gateway, running
from tests.provider import Provider

MODEL = "openai/gpt-4o-2024-08-06"
RULES = [f"Rule {n}: check item {n} of the policy before you answer." for n in range(40)]
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """An alias of stakes high whose release leaves the prompt as sent."""
    alias = {"stakes": "high", "first_release": {"model": MODEL}}
    with Provider() as provider:
        settings = {"undeclared": {"baseline_runs": 10, "baseline_time": "0s"}, "aliases": {"agent": alias}}
        with running({"openai": provider.url}, **settings) as started:
            yield started


def send(gateway: Gateway, rules: list[str], second: int, **more: Any) -> None:
    """One request of a run of its own, its prompt dated and named."""
    prompt = f"You help {['Alice', 'Bob', 'Carol', 'Dave', 'Eve', 'Frank'][second % 6]}. It is 2026-11-23 10:22:{second:02}.\n"
    messages = [{"role": "system", "content": prompt + "\n".join(rules)}, {"role": "user", "content": "Hello?"}]
    body = json.dumps({"model": "agent", "messages": messages, "tools": TOOLS, **more}).encode()
    request = urllib.request.Request(gateway.base + "/v1/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def until(gateway: Gateway, true: Any, *words: str) -> Any:
    """What a verb answers, once it answers so."""
    limit = time.monotonic() + 15
    while True:
        found = gateway.json(*words)
        if true(found):
            return found
        assert time.monotonic() < limit, found
        time.sleep(0.2)


def test_a_changed_sentence_shows_within_five_requests_and_a_date_never(gateway: Gateway) -> None:
    """30 dated requests are one template and one toolset; five with a changed rule are undeclared, told and accepted."""
    seconds = itertools.count()
    for second in itertools.islice(seconds, 30):
        send(gateway, RULES, second)
        if second % 3 == 2:
            time.sleep(0.4)
    told = until(
        gateway,
        lambda got: sum(t["requests"] for t in got["templates"] if t["leg"] == "tools") == 30,
        *("alias", "prompts", "agent"),
    )
    prompt, tools = told["templates"]
    assert (prompt["leg"], prompt["state"], tools["leg"], tools["state"]) == ("prompt", "baseline", "tools", "baseline")
    assert "You help {...}." in prompt["text"] and "It is {date}." in prompt["text"] and RULES[39] in prompt["text"]
    assert gateway.json("alias", "undeclared") == []

    changed = [*RULES[:20], RULES[20].replace("before", "after"), *RULES[21:]]
    for second in itertools.islice(seconds, 4):
        send(gateway, changed, second)
    (found,) = until(gateway, bool, "alias", "undeclared", "agent")
    assert "after you answer" in found["text"] and found["requests"] >= 2 and found["releases"] == []
    entry = gateway.json("alias", "history", "agent")[0]
    assert (entry["action"], entry["evidence"]) == ("undeclared", found["id"])
    assert entry["note"] == "freezes the rollout"
    metrics = gateway.get(gateway.admin + "/metrics")[1].decode()
    assert 'trivet_undeclared_templates{alias="agent",leg="prompt"} 1.0' in metrics
    assert 'trivet_undeclared_total{alias="agent",leg="prompt"} ' in metrics

    gateway.cli("alias", "undeclared", "agent", "--accept", found["id"], "--reason", "rolled out with the app")
    assert gateway.json("alias", "undeclared") == []
    assert gateway.json("alias", "history", "agent")[0]["action"] == "accept"
