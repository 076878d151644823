"""Jobs, and answers of a provider, for tests of the shadow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gateway.core.contract.job import Job

BODY = b'{"model":"support","messages":[{"role":"user","content":"What does it cost?"}]}'


def job(number: int = 1, **more: Any) -> Job:
    """A job of a chat request."""
    given: dict[str, Any] = {
        "pair": f"req_{number}.rel_2",
        "request": f"req_{number}",
        "tenant": "t",
        "run": f"run-{number}",
        "alias": "support",
        "step": 1,
        "primary": "rel_1",
        "candidate": "rel_2",
        "dialect": "openai",
        "operation": "chat",
        "path": "/v1/chat/completions",
        "at_ms": 1000,
        "capture": "full",
    }
    return Job(**{**given, **more})


def chat(text: str, *, calls: Sequence[tuple[str, str]] = (), model: str = "m", finish: str = "stop") -> bytes:
    """A whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(calls)
        ]
        finish = "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    return json.dumps(body).encode()


def events(text: str, *, model: str = "m") -> bytes:
    """The same as a stream."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model}
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in text.replace(" ", " |").split("|"))]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
