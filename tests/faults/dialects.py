"""How each dialect other than OpenAI's chat is spoken in the rows of faults: a row of this table, and it is held to all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests import responding
from tests.anthropic_answers import error_body, event, message_body, message_events


@dataclass(frozen=True)
class Speech:
    """One dialect. The provider of its name is the gateway's default for it."""

    dialect: str
    vendor: str
    model: str
    """A pinned id of the vendor's."""
    floating: str
    path: Callable[[str, bool], str]
    """Where a model is asked, streamed or not."""
    request: Callable[[str, bool], dict[str, Any]]
    """A good request of a model, streamed or not."""
    whole: bytes
    """A good answer."""
    events: tuple[bytes, ...]
    """A good stream, the terminal event last."""
    failed: bytes
    """The provider's own error event; its code is `overloaded_error` in the journal."""
    refusal: bytes
    """The provider's own error body."""
    begins: bytes
    """What the event begins with that ends a cut stream."""
    members: frozenset[str]
    """Members of `error` in an error of the gateway's own."""
    code: Callable[[dict[str, Any]], str]
    """The gateway's code in such an error."""
    busy: int = 503
    """The status of overload."""
    broken: int = 502
    """The status of a provider that cannot be understood."""

    def at(self, model: str, *, stream: bool = False) -> str:
        """The path that a model is asked at."""
        return self.path(model, stream)

    def asks(self, model: str, *, stream: bool = False) -> dict[str, Any]:
        """A good request of a model."""
        return self.request(model, stream)


def said(text: str, **candidate: Any) -> dict[str, Any]:
    """A chunk of Gemini's, or its whole answer."""
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 3}
    content = {"content": {"parts": [{"text": text}], "role": "model"}, **candidate}
    return {"candidates": [content], "usageMetadata": usage, "modelVersion": FLASH}


CLAUDE, FLASH, GPT = "claude-sonnet-4-5-20250929", "gemini-2.0-flash-001", "gpt-5-2025-08-07"
SPEECHES = {
    "responses": Speech(
        dialect="responses",
        vendor="openai",
        model=GPT,
        floating="gpt-5",
        path=lambda _model, _stream: "/v1/responses",
        request=lambda model, stream: {"model": model, "input": "Hello?", **({"stream": True} if stream else {})},
        whole=json.dumps(responding.body("resp_fault0001", GPT, responding.message_item("Hello."))).encode(),
        events=tuple(responding.events("resp_fault0002", GPT, responding.message_item("Hello 🌍"))),
        failed=responding.event(1, "error", code="overloaded_error", message="Busy.", param=None),
        refusal=b'{"error": {"message": "Slow down.", "type": "x", "param": null, "code": "rate_limit_exceeded"}}',
        begins=b"event: error\ndata: ",
        members=frozenset(("message", "type", "param", "code")),
        code=lambda error: str(error["code"]),
    ),
    "anthropic": Speech(
        dialect="anthropic",
        vendor="anthropic",
        model=CLAUDE,
        floating="claude-sonnet-4-5",
        path=lambda _model, _stream: "/v1/messages",
        request=lambda model, stream: {
            "model": model,
            "max_tokens": 64,
            "messages": [{"role": "user", "content": "Hello?"}],
            **({"stream": True} if stream else {}),
        },
        whole=json.dumps(message_body("Hello.", CLAUDE)).encode(),
        events=tuple(message_events(["Hel", "lo 🌍"], CLAUDE)),
        failed=event("error", **error_body("overloaded_error")),
        refusal=json.dumps(error_body("rate_limit_error")).encode(),
        begins=b"event: error\ndata: ",
        members=frozenset(("type", "message")),
        code=lambda error: str(error["message"]).partition(":")[0],
        busy=529,
    ),
    "gemini": Speech(
        dialect="gemini",
        vendor="google",
        model=FLASH,
        floating="gemini-flash-latest",
        path=lambda model, stream: (
            f"/v1beta/models/{model}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"
        ),
        request=lambda _model, _stream: {"contents": [{"role": "user", "parts": [{"text": "Hello?"}]}]},
        whole=json.dumps(said("Hello.", finishReason="STOP")).encode(),
        events=tuple(
            b"data: " + json.dumps(each).encode() + b"\n\n"
            for each in (said("Hel"), said("lo "), said("🌍", finishReason="STOP"))
        ),
        failed=b'data: {"error": {"code": 503, "message": "Busy.", "status": "overloaded_error"}}\n\n',
        refusal=b'{"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}',
        begins=b'data: {"error":',
        members=frozenset(("code", "message", "status", "details")),
        code=lambda error: str(error["details"][0]["reason"]),
        broken=503,
    ),
}
