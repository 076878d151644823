"""What serving both legs costs at 64 KB with 20 tools, in every dialect: the bound of the live path."""

from __future__ import annotations

import json
import timeit
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from bench.bodies import chat
from gateway.core.contract.artifact import digest
from gateway.core.contract.prompt import parse
from gateway.core.contract.release import Leg, Mode, Release, Triple
from gateway.core.dialect.legs import Legs
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import find
from gateway.core.dialect.splice import splice
from gateway.core.dialect.toolset import canonical, read
from gateway.live.carry import leg_edits

BOUND = 150e-6
"""Seconds of CPU for fingerprinting and splicing together."""


def bodies() -> dict[str, tuple[str, bytes]]:
    """Dialect to path and a request of 64 KB."""
    body = json.loads(chat(65536, 20))
    functions = [tool["function"] for tool in body["tools"]]
    system, *rest = body["messages"]
    said = [{"role": "user", "content": f"{each}"} for each in rest]
    made: dict[str, tuple[str, Any]] = {
        "openai": ("/v1/chat/completions", body),
        "responses": (
            "/v1/responses",
            {
                "model": "m",
                "instructions": system["content"],
                "input": said,
                "tools": [{"type": "function", **each} for each in functions],
            },
        ),
        "anthropic": (
            "/v1/messages",
            {
                "model": "m",
                "system": [{"type": "text", "text": system["content"]}],
                "messages": said,
                "tools": [{"name": each["name"], "input_schema": each["parameters"]} for each in functions],
            },
        ),
        "gemini": (
            "/v1beta/models/m:generateContent",
            {
                "systemInstruction": {"parts": [{"text": system["content"]}]},
                "contents": [{"role": "user", "parts": [{"text": each["content"]}]} for each in said],
                "tools": [{"functionDeclarations": functions}],
            },
        ),
    }
    return {name: (path, json.dumps(each, separators=(",", ":")).encode()) for name, (path, each) in made.items()}


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("mode", [Mode.SERVE, Mode.VERIFY])
def test_both_legs_stay_under_the_bound(name: str, mode: Mode) -> None:
    """Putting prompt and tools in, or comparing them, with both fingerprints of the journal, takes less than 150 µs."""
    path, body = bodies()[name]
    dialect, route = DIALECTS[name], find(path, ())
    envelope = dialect.read(route.operation, body)
    kind: Any = type(envelope)
    tools = read(envelope.toolset())
    prompt = (envelope.prompt() or "") if mode is Mode.VERIFY else "Be kind. " * 400 + "{{app}} for {{name}}"
    triple = Triple("openai/m", Leg(mode, digest(prompt.encode())), Leg(mode, digest(canonical(tools))))
    legs = Legs(Release("rel_1", triple), parse(prompt), tools)
    view = SimpleNamespace(toolsets={})
    worker: Any = SimpleNamespace(store=SimpleNamespace(pointers=SimpleNamespace(labels_of=lambda _digest: ())))
    model = dialect.model_edit("gpt-4o-2024-08-06")

    def fresh() -> Any:
        made = kind.__new__(kind)
        for slot in {slot for each in kind.__mro__ for slot in getattr(each, "__slots__", ())}:
            if not slot.startswith("_") and hasattr(envelope, slot):
                setattr(made, slot, getattr(envelope, slot))
        return made

    def once() -> None:
        sent = fresh()
        life: Any = SimpleNamespace(
            view=view, envelope=sent, dialect=dialect, route=route, variables={"name": "Ann"}, tools_sent=""
        )
        edits = {**leg_edits(worker, life, legs), **model}
        splice(sent.members, edits)
        sha256(sent.system()).hexdigest()
        if not life.tools_sent:
            sha256(sent.toolset()).hexdigest()

    took = min(timeit.repeat(once, number=20, repeat=30)) / 20
    assert took < BOUND, f"{took * 1e6:.0f} µs"
