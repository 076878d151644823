"""What a provider of Anthropic's API answers, for the scripted provider of `tests/provider.py`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.provider import Behaviour, Received, Reply, answer

USAGE = {"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 2, "output_tokens": 3}


def message_body(text: str, model: str, *calls: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A message that says `text` and then calls these tools."""
    content = ([{"type": "text", "text": text}] if text else []) + list(calls)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
        **members,
    }


def tool_use(identifier: str, name: str = "look", **given: Any) -> dict[str, Any]:
    """One call of a tool."""
    return {"type": "tool_use", "id": identifier, "name": name, "input": given}


def message(text: str = "Hello.", model: str | None = None, *calls: dict[str, Any]) -> Behaviour:
    """A message of the model that was asked for (or `model`)."""

    async def behave(received: Received, reply: Reply) -> None:
        await answer(message_body(text, model or received.json.get("model", ""), *calls))(received, reply)

    return behave


def event(kind: str, **members: Any) -> bytes:
    """One event, named as its data says."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members}, ensure_ascii=False)}\n\n".encode()


def message_events(pieces: Iterable[str], model: str = "m", *calls: dict[str, Any]) -> list[bytes]:
    """The events of a streamed message that says `pieces` and then calls these tools, their input in one piece."""
    empty = message_body("", model, usage={**USAGE, "output_tokens": 1}, stop_reason=None)
    made = [
        event("message_start", message=empty),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in pieces),
        event("content_block_stop", index=0),
    ]
    for index, call in enumerate(calls, 1):
        made.append(event("content_block_start", index=index, content_block={**call, "input": {}}))
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call["input"])}
        made.append(event("content_block_delta", index=index, delta=delta))
        made.append(event("content_block_stop", index=index))
    end = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    made.append(event("message_delta", delta=end, usage={"output_tokens": 3}))
    made.append(event("message_stop"))
    return made


def error_body(kind: str, text: str = "No, thanks.") -> dict[str, Any]:
    """An error as the API writes it."""
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_provider"}
