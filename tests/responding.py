"""What a provider of the Responses API answers, for the scripted provider: bodies, events, calls."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.provider import Behaviour, Received, Reply, answer, stream


def message_item(text: str) -> dict[str, Any]:
    """A message of the model's."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def call_item(call_id: str, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    """A function call."""
    done = {"id": "fc_1", "type": "function_call", "status": "completed"}
    return {**done, "call_id": call_id, "name": name, "arguments": arguments}


def body(response_id: str, model: str, *items: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A response with these items."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": True,
        "usage": {
            "input_tokens": 5,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 8,
        },
        **members,
    }


def event(number: int, kind: str, **members: Any) -> bytes:
    """One event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **members})}\n\n".encode()


def events(response_id: str, model: str, *items: dict[str, Any]) -> list[bytes]:
    """The events of a response with these items: texts in pieces of three characters, everything else whole."""
    begun = {"status": "in_progress", "usage": None}
    made = [event(0, "response.created", response=body(response_id, model, **begun))]
    for index, item in enumerate(items):
        empty = {**item, "content": []} if item["type"] == "message" else {**item, "arguments": ""}
        made.append(event(len(made), "response.output_item.added", output_index=index, item=empty))
        if item["type"] == "message":
            made += _text(item, index, len(made))
        made.append(event(len(made), "response.output_item.done", output_index=index, item=item))
    made.append(event(len(made), "response.completed", response=body(response_id, model, *items)))
    return made


def _text(item: dict[str, Any], index: int, number: int) -> Iterable[bytes]:
    at = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = item["content"][0]
    yield event(number, "response.content_part.added", **at, part={**part, "text": ""})
    pieces = [part["text"][i : i + 3] for i in range(0, len(part["text"]), 3)]
    for more, piece in enumerate(pieces, number + 1):
        yield event(more, "response.output_text.delta", **at, delta=piece, logprobs=[])
    number += len(pieces) + 1
    yield event(number, "response.output_text.done", **at, text=part["text"], logprobs=[])
    yield event(number + 1, "response.content_part.done", **at, part=part)


def responding(response_id: str, *items: dict[str, Any], **members: Any) -> Behaviour:
    """Answer with these items (or "Hello."), whole or as a stream, as it is asked, as the model that is asked for."""

    async def behave(received: Received, reply: Reply) -> None:
        asked = received.json
        said = items or (message_item("Hello."),)
        if asked.get("stream"):
            await stream(events(response_id, asked["model"], *said))(received, reply)
        else:
            await answer(body(response_id, asked["model"], *said, **members))(received, reply)

    return behave
